package e2e

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"aegis/client"
)

// stock switches templates on, and a pool of that size. The daemon must be down.
func (h *home) stock(pool int) {
	h.set("AEGIS_TEMPLATES", "true")
	h.set("AEGIS_POOL_SIZE", strconv.Itoa(pool))
}

// stocked waits for so many templates, and so many VMs that wait.
func (h *home) stocked(templates, pool int) {
	h.t.Helper()
	h.eventually(commandTime, fmt.Sprintf("%d templates are made, and %d VMs wait", templates, pool), func() error {
		var s client.Status
		if err := json.Unmarshal([]byte(h.ok("status", "--json")), &s); err != nil {
			return err
		}
		if s.Templates != templates || s.PoolReady != pool {
			return fmt.Errorf("%d templates, %d VMs", s.Templates, s.PoolReady)
		}
		return nil
	})
}

// origin is what the last start of an instance was made from.
func (h *home) origin(name, want string) {
	h.t.Helper()
	for _, w := range h.info(name).Wakes { // the last one first
		if w.From == "STOPPED" {
			if w.Origin != want {
				h.t.Errorf("%s started from %q, want %q: %v", name, w.Origin, want, w.Stages)
			}
			return
		}
	}
	h.t.Errorf("%s has not started", name)
}

// fellBack is why the starts of an instance were not made from what is quicker.
func (h *home) fellBack(name string) (why []string) {
	h.t.Helper()
	for line := range strings.Lines(h.ok("events")) {
		var e client.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			h.t.Fatal(err)
		}
		if e.Event == "fell-back" && e.Name == name {
			why = append(why, e.Reason)
		}
	}
	return why
}

// everything starts a server with all that an instance can have.
func (h *home) everything(name string) string {
	h.t.Helper()
	h.write(filepath.Join(h.cwd, name, "index.html"), "marmalade of "+name+"\n")
	h.ok("instance", "start", "--name", name, "--workspace", "./"+name, "--expose", "80", "--secret", "API_KEY", "--pause-after", "never",
		"--", "python", "-m", "http.server", "80")
	return h.url(name)
}

// whole tries what an instance has, whatever it was made from.
func (h *home) whole(name, url string) {
	h.t.Helper()
	h.page(url, "marmalade of "+name+"\n")
	if got := h.ok("exec", name, "--", "sh", "-c", "hostname; echo $API_KEY; pwd; echo written > here"); got != name+"\n"+secretValue+"\n/workspace\n" {
		h.t.Errorf("%s: an exec gives %q", name, got)
	}
	if body, err := os.ReadFile(filepath.Join(h.cwd, name, "here")); string(body) != "written\n" {
		h.t.Errorf("%s: the workspace: %q, %v", name, body, err)
	}
	h.terminal(name)
	h.write(filepath.Join(h.cwd, "sent"), "to "+name)
	h.ok("cp", "sent", name+":/root/sent")
	if got := h.ok("cp", name+":/root/sent", "-"); !strings.Contains(got, "to "+name) {
		h.t.Errorf("%s: a copy: %q", name, got)
	}
	h.timely(name)
}

// timely compares the clocks.
func (h *home) timely(name string) {
	h.t.Helper()
	before := time.Now()
	text := h.ok("exec", name, "--", "date", "+%s.%N")
	after := time.Now()
	seconds, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil {
		h.t.Fatal(err)
	}
	if now := time.UnixMicro(int64(seconds * 1e6)); now.Before(before.Add(-*clock)) || now.After(after.Add(*clock)) {
		h.t.Errorf("%s: its clock says %s, between %s and %s of the host's", name, now, before, after)
	}
}

// clean wants none of these bytes in any file of the templates.
func (h *home) clean(needles ...string) {
	h.t.Helper()
	files := 0
	filepath.WalkDir(filepath.Join(h.dir, "templates"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		files++
		for _, needle := range needles {
			if found, err := contains(path, []byte(needle)); found || err != nil {
				h.t.Errorf("%q in %s: %v, %v", needle, path, found, err)
			}
		}
		return nil
	})
	if files < 3 {
		h.t.Errorf("the templates have %d files", files)
	}
}

// templated skips a test of templates where there are none.
func templated(t *testing.T) {
	t.Helper()
	if templates(os.Getenv("AEGIS_BACKEND")) == 0 {
		t.Skip("pending: this backend has no templates; TestBootedPool is about its pool")
	}
}

// TestTemplate starts from nothing, and then from what the daemon made of that.
func TestTemplate(t *testing.T) {
	templated(t)
	h := newHome(t)
	h.stock(0)
	if r := h.run(secretValue, "secret", "set", "API_KEY"); r.code != 0 {
		t.Fatalf("secret set: %+v", r)
	}
	seen := map[string]string{}
	first := h.everything("first-of-all")
	h.origin("first-of-all", "cold")
	h.whole("first-of-all", first)
	h.own(seen, "first-of-all")
	h.ok("exec", "first-of-all", "--", "sh", "-c", "echo kept > /root/kept")
	h.stocked(1, 0)
	h.absent(secretValue)
	second := h.everything("second-of-all")
	h.origin("second-of-all", "template")
	h.whole("second-of-all", second)
	h.own(seen, "second-of-all")
	h.ok(words("instance stop first-of-all")...)
	h.ok(words("instance start --name first-of-all")...) // with the disk it has
	h.origin("first-of-all", "template")
	h.whole("first-of-all", first)
	h.own(map[string]string{}, "first-of-all")
	if got := h.ok(words("exec first-of-all -- cat /root/kept")...); got != "kept\n" {
		t.Errorf("the disk: %q", got)
	}
	h.ok(words("instance pause second-of-all")...)
	h.page(second, "marmalade of second-of-all\n")
	h.timely("second-of-all")
	h.clean(secretValue, "marmalade of", "first-of-all", "second-of-all")
	h.absent(secretValue)
	h.ok(words("instance start --name third --no-template -- sleep infinity")...)
	h.origin("third", "cold")
	for _, name := range []string{"first-of-all", "second-of-all"} {
		if why := h.fellBack(name); len(why) > 0 {
			t.Errorf("%s: %v", name, why)
		}
	}
	h.ok(words("instance delete --force first-of-all second-of-all third")...)
	h.bare()
	if out := h.ok(words("system prune")...); !strings.Contains(out, "templates") {
		t.Errorf("prune: %s", out)
	}
	h.stocked(0, 0)
}

// TestPool starts from VMs that wait, with new disks and with old ones.
func TestPool(t *testing.T) {
	templated(t)
	h := newHome(t)
	h.stock(1)
	if r := h.run(secretValue, "secret", "set", "API_KEY"); r.code != 0 {
		t.Fatalf("secret set: %+v", r)
	}
	seen := map[string]string{}
	h.ok(words("instance start --name warmer -- true")...)
	h.stocked(1, 1)
	first := h.everything("first-of-all")
	h.origin("first-of-all", "pool")
	h.whole("first-of-all", first)
	h.own(seen, "first-of-all")
	h.ok("exec", "first-of-all", "--", "sh", "-c", "echo kept > /root/kept")
	h.stocked(1, 1)
	second := h.everything("second-of-all")
	h.origin("second-of-all", "pool")
	h.whole("second-of-all", second)
	h.own(seen, "second-of-all")
	h.ok(words("instance stop first-of-all")...)
	h.stocked(1, 1)
	h.ok(words("instance start --name first-of-all")...)
	h.origin("first-of-all", "pool")
	h.whole("first-of-all", first)
	if got := h.ok(words("exec first-of-all -- cat /root/kept")...); got != "kept\n" {
		t.Errorf("the disk: %q", got)
	}
	h.clean(secretValue, "marmalade of", "first-of-all", "second-of-all")
	h.absent(secretValue)
	h.clones(seen)
	if r := h.run("in", "run", "--", "sh", "-c", "cat; echo err >&2; exit 3"); r.code != 3 || r.stdout != "in" || r.stderr != "err\n" {
		t.Errorf("a run: %+v", r)
	}
	if log, err := os.ReadFile(filepath.Join(h.dir, "aegisd.log")); err != nil || strings.Contains(string(log), "fell back") {
		t.Errorf("starts fell back: %v", err)
	}
	h.ok(words("instance delete --force first-of-all second-of-all warmer")...)
}

// shims are the owners of VMs but for these.
func (h *home) shims(but ...process) (out []process) {
	for _, p := range h.processes() {
		if p.role() == "aegis-shim" && !slices.ContainsFunc(but, func(o process) bool { return o.pid == p.pid }) {
			out = append(out, p)
		}
	}
	return out
}

// TestPoolSurvives kills what makes and holds the VMs that wait.
func TestPoolSurvives(t *testing.T) {
	templated(t)
	h := newHome(t)
	h.stock(1)
	h.ok(words("instance start --name one -- sleep infinity")...)
	one := h.shims()[0]
	h.makerDies(one)
	h.ok(words("run -- true")...)
	h.stocked(1, 1)
	waited := h.shims(one)[0]
	h.urgent(waited, false)
	h.urgent(one, true)
	h.kill(waited)
	h.eventually(time.Minute, "another one is restored", func() error {
		if now := h.shims(one, waited); len(now) != 1 {
			return fmt.Errorf("%v", now)
		}
		return nil
	})
	warming := h.shims(one, waited)[0]
	h.kill(warming)
	h.eventually(10*time.Second, "nothing of it is left", func() error {
		if len(h.shims(one)) != 0 || len(h.runs()) != 1 {
			return fmt.Errorf("%v, %v", h.shims(one), h.runs())
		}
		return nil
	})
	h.ok(words("run -- true")...)
	h.stocked(1, 1)
	h.end(syscall.SIGKILL)
	h.ok("up")
	h.eventually(10*time.Second, "the VM that waited for the last daemon is gone", func() error {
		if now := h.runs(); len(h.shims()) != 1 || len(now) != 1 {
			return fmt.Errorf("%v %v", h.shims(), now)
		}
		return nil
	})
	h.state("one", "RUNNING", time.Second)
	h.ok(words("run -- true")...)
	h.stocked(1, 1)
	waiting := h.shims(one)[0]
	h.ok(words("instance start --name two -- sleep infinity")...)
	h.origin("two", "pool")
	h.urgent(waiting, true)
	h.ok(words("instance delete --force one two")...)
}

// makerDies waits for a template's maker, and kills it.
func (h *home) makerDies(other process) {
	h.t.Helper()
	h.eventually(time.Minute, "a template is being made", func() error {
		drafts, _ := filepath.Glob(filepath.Join(h.dir, "templates", "*", "*"))
		if len(h.shims(other)) != 1 || len(drafts) == 0 {
			return fmt.Errorf("%v, %v", h.shims(other), drafts)
		}
		return nil
	})
	maker := h.shims(other)[0]
	if nice, err := unix.Getpriority(unix.PRIO_PROCESS, maker.pid); err != nil || 20-nice < 5 { // getpriority(2): the system call gives 20 less it
		h.t.Errorf("the maker is as urgent as a start: %d, %v", 20-nice, err)
	}
	if share := maker.share(); share != "" && !low(share) {
		h.t.Errorf("the maker has a share as if one waited for it: %s", share)
	}
	h.kill(maker)
	h.eventually(10*time.Second, "nothing of its maker is left", func() error {
		left, _ := os.ReadDir(filepath.Join(h.dir, "templates"))
		if len(h.shims(other)) != 0 || len(h.runs()) != 1 || len(left) != 0 {
			return fmt.Errorf("%v, %v, %v", h.shims(other), h.runs(), left)
		}
		return nil
	})
}

// TestTemplateIsSpoiled starts from templates that are not what they were.
func TestTemplateIsSpoiled(t *testing.T) {
	templated(t)
	h := newHome(t)
	h.stock(0)
	h.ok(words("instance start --name one -- true")...)
	for name, spoil := range map[string]func(path string) error{
		"cut":     func(path string) error { return os.Truncate(path, 1<<20) },
		"changed": func(path string) error { return os.Chtimes(path, time.Now(), time.Now()) },
		"gone":    os.Remove,
	} {
		h.stocked(1, 0)
		var large string
		var size int64
		files, _ := filepath.Glob(filepath.Join(h.dir, "templates", "*", "*"))
		for _, f := range files {
			if info, err := os.Stat(f); err == nil && info.Size() > size {
				large, size = f, info.Size()
			}
		}
		if err := spoil(large); err != nil {
			t.Fatal(err)
		}
		h.ok("instance", "start", "--name", name, "--", "sleep", "infinity")
		h.origin(name, "cold")
		if why := h.fellBack(name); len(why) != 1 || !strings.Contains(why[0], "template") {
			t.Errorf("%s: the events say %v", name, why)
		}
		if log := h.ok("logs", name, "--stream", "system"); !strings.Contains(log, "fell-back: ") {
			t.Errorf("%s: the log says %q", name, log)
		}
		h.ok(words("instance delete --force " + name)...)
	}
}
