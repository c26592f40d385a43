package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// serve starts an instance that serves a page of its own.
func (h *home) serve(name string, flags ...string) string {
	h.t.Helper()
	h.write(filepath.Join(h.cwd, name, "index.html"), "page of "+name+"\n")
	args := append([]string{"instance", "start", "--name", name, "--workspace", "./" + name, "--expose", "80"}, flags...)
	h.ok(append(args, "--", "python", "-m", "http.server", "80")...)
	return h.url(name)
}

func TestIdlePausesAndAConnectionWakes(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	url := h.serve("web", "--pause-after", "2s")
	h.page(url, "page of web\n")
	h.state("web", "PAUSED", 30*time.Second)
	code, body, header := h.get(url)
	if code != http.StatusOK || body != "page of web\n" {
		t.Errorf("woken: %d %q", code, body)
	}
	if !strings.HasPrefix(header.Get("Server-Timing"), "wake;dur=") {
		t.Errorf("Server-Timing: %q", header.Get("Server-Timing"))
	}
	info := h.info("web")
	if len(info.Wakes) < 2 || info.Wakes[0].From != "PAUSED" || info.Wakes[0].MS <= 0 {
		t.Errorf("wakes: %+v", info.Wakes)
	}
	// what is paused on request wakes too, and its clock is right again
	h.ok("instance", "pause", "web")
	h.ok("instance", "pause", "web")
	if got := h.info("web").State; got != "PAUSED" {
		t.Errorf("after pause: %s", got)
	}
	time.Sleep(1500 * time.Millisecond) // the time that the guest's clock has missed
	h.ok("instance", "resume", "web")
	h.eventually(10*time.Second, "the guest's clock is right", func() error {
		var guest int64
		fmt.Sscan(h.ok("exec", "web", "--", "date", "+%s%3N"), &guest)
		if off := time.Since(time.UnixMilli(guest)); off.Abs() > time.Second {
			return fmt.Errorf("it is off by %s", off)
		}
		return nil
	})
}

func TestIdleStopsAndAConnectionStarts(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	url := h.serve("web", "--pause-after", "1s", "--stop-after", "2s")
	h.ok("exec", "web", "--", "sh", "-c", "echo kept > /root/kept")
	h.state("web", "STOPPED", 60*time.Second)
	if exit := h.info("web").Exit; exit == nil || exit.Reason != "idle" {
		t.Errorf("exit: %+v", exit)
	}
	h.eventually(2*time.Second, "a stopped instance has no process", func() error {
		if left := h.processes(); len(left) != 1 {
			return fmt.Errorf("there are %v", left)
		}
		return nil
	})
	h.page(url, "page of web\n")
	if got := h.ok("exec", "web", "--", "cat", "/root/kept"); got != "kept\n" {
		t.Errorf("the disk did not survive: %q", got)
	}
}

func TestManyConnectionsOneStart(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	url := h.serve("web", "--pause-after", "1s", "--stop-after", "1s")
	h.state("web", "STOPPED", 60*time.Second)
	before := len(h.info("web").Wakes)
	var wg sync.WaitGroup
	errs := make(chan error, 50)
	for range 50 {
		wg.Go(func() {
			c := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
			res, err := c.Get(url)
			if err == nil {
				res.Body.Close()
				if res.StatusCode != http.StatusOK {
					err = fmt.Errorf("status %d", res.StatusCode)
				}
			}
			errs <- err
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	if starts := len(h.info("web").Wakes) - before; starts != 1 {
		t.Errorf("%d starts for 50 connections", starts)
	}
}

func TestSilentJobIsNotPaused(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	// an attached run keeps itself awake however silent it is
	r := h.run("", "run", "--name", "job", "--pause-after", "1s", "--", "sh", "-c", "sleep 6; echo done")
	if r.code != 0 || r.stdout != "done\n" {
		t.Errorf("run: %+v", r)
	}
	// a detached one does by the processor time it takes
	h.ok("instance", "start", "--name", "busy", "--pause-after", "2s", "--", "sh", "-c", "while :; do :; done")
	for range 12 {
		time.Sleep(500 * time.Millisecond) // the passing of time is what is tested
		if info := h.info("busy"); info.State != "RUNNING" {
			t.Fatalf("a busy guest is %s", info.State)
		}
	}
	if because := h.info("busy").AwakeBecause; len(because) == 0 {
		t.Error("info does not say why it is awake")
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	url := h.serve("web")
	h.ok("exec", "web", "--", "sh", "-c", "echo kept > /root/kept")
	h.ok("instance", "stop", "web")
	info := h.info("web")
	if info.State != "STOPPED" || info.Exit == nil || info.Exit.Reason != "stopped" || info.Exit.Signal != int(syscall.SIGTERM) {
		t.Errorf("after stop: %s %+v", info.State, info.Exit)
	}
	if _, err := http.Get(url); err == nil {
		t.Error("a stopped instance still listens")
	}
	h.ok("instance", "stop", "web") // again is no error
	h.fails(125, []string{"STOPPED", "hint: aegis instance start"}, "exec", "web", "--", "true")
	h.ok("instance", "start", "--name", "web")
	h.page(url, "page of web\n")
	if got := h.ok("exec", "web", "--", "cat", "/root/kept"); got != "kept\n" {
		t.Errorf("the disk did not survive: %q", got)
	}

	// what ignores SIGTERM is killed after its time
	h.ok("instance", "start", "--name", "deaf", "--", "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done")
	h.eventually(time.Minute, "it ignores SIGTERM", func() error {
		if log := h.ok("logs", "deaf"); !strings.Contains(log, "ready") {
			return fmt.Errorf("%q", log)
		}
		return nil
	})
	began := time.Now()
	h.ok("instance", "stop", "--time", "2s", "deaf")
	if took := time.Since(began); took < 2*time.Second {
		t.Errorf("killed after %s, before its time", took)
	}
	if exit := h.info("deaf").Exit; exit == nil || exit.Signal != int(syscall.SIGKILL) {
		t.Errorf("exit: %+v", exit)
	}
}

func TestCommandsEnd(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.ok("instance", "start", "--name", "seven", "--", "sh", "-c", "exit 7")
	h.state("seven", "STOPPED", 30*time.Second)
	if exit := h.info("seven").Exit; exit == nil || exit.Reason != "exited" || exit.Code != 7 {
		t.Errorf("exit: %+v", exit)
	}
}

// killed sends a signal that leaves no time for anything, and waits for the end: until
// then the kernel still takes connections for a daemon. It is false of what had ended.
func (h *home) killed(p process) bool {
	h.t.Helper()
	switch err := syscall.Kill(p.pid, syscall.SIGKILL); {
	case errors.Is(err, syscall.ESRCH):
		return false
	case err != nil:
		h.t.Fatal(err)
	}
	h.eventually(10*time.Second, "it is dead", func() error { return gone(life{p.role(): p}) })
	return true
}

func (h *home) kill(p process) {
	h.t.Helper()
	if !h.killed(p) {
		h.t.Fatalf("%v had ended", p)
	}
}

func TestDaemonIsKilled(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	url := h.serve("web")
	paused := h.serve("paused")
	h.ok("instance", "pause", "paused")
	vmm := h.info("web")
	h.kill(h.one("aegisd"))
	h.ok("status") // starts a new one
	if got := h.info("web"); got.State != "RUNNING" || got.ID != vmm.ID || got.Ports[0].URL != url {
		t.Errorf("adopted: %+v", got)
	}
	if got := h.info("paused").State; got != "PAUSED" {
		t.Errorf("the paused one is %s", got)
	}
	h.page(url, "page of web\n")
	h.page(paused, "page of paused\n")
	if got := h.ok("exec", "web", "--", "echo", "hello"); got != "hello\n" {
		t.Errorf("exec after adoption: %q", got)
	}
	if !strings.Contains(h.ok("logs", "web"), "GET /") {
		t.Error("the log lost what the server wrote")
	}
	h.kill(h.one("aegisd")) // and down, in the clean-up, ends what this leaves
}

func TestPartsAreKilled(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	url := h.serve("web")
	for _, victim := range []string{"vmm", "aegis-shim", "fs"} {
		t.Run(victim, func(t *testing.T) {
			h.page(url, "page of web\n")
			h.kill(h.part(victim))
			h.state("web", "STOPPED", 2*time.Second)
			exit := h.info("web").Exit
			if exit == nil || exit.Reason != "vm-died" || exit.Error == "" {
				t.Errorf("exit: %+v", exit)
			}
			h.eventually(2*time.Second, "no orphan is left", func() error {
				if left := h.processes(); len(left) != 1 {
					return fmt.Errorf("%v", left)
				}
				return nil
			})
			entries, _ := os.ReadDir(filepath.Join(h.dir, "run"))
			if len(entries) != 0 {
				t.Errorf("run directories are left: %v", entries)
			}
		})
	}
	h.page(url, "page of web\n") // and it starts again
}

// part is the one process of an instance with this role.
func (h *home) part(role string) process {
	h.t.Helper()
	for _, p := range h.processes() {
		if p.role() == role {
			return p
		}
	}
	h.t.Fatalf("no process is %s: %v", role, h.processes())
	return process{}
}

func TestHomesSideBySide(t *testing.T) {
	t.Parallel()
	a, b := newHome(t), newHome(t)
	urlA, urlB := a.serve("web"), b.serve("web")
	if urlA == urlB {
		t.Fatalf("both are at %s", urlA)
	}
	a.page(urlA, "page of web\n")
	a.ok("instance", "delete", "--force", "web")
	b.page(urlB, "page of web\n")
}

func TestDownKeepsEverything(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	url := h.serve("web")
	h.ok("down")
	if left := h.processes(); len(left) != 0 {
		t.Errorf("processes are left: %v", left)
	}
	h.ok("down") // when down succeeds
	h.ok("up")
	h.ok("up") // when up succeeds
	if got := h.info("web").State; got != "STOPPED" {
		t.Errorf("after down and up: %s", got)
	}
	h.page(url, "page of web\n")
}
