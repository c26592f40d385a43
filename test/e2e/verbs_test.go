package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aegis/client"
)

// TestVerbs shares two instances between the verbs of a life.
func TestVerbs(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	url := h.serve("web", "--pause-after", "1s")
	t.Run("hold keeps awake and release lets it pause", func(t *testing.T) { h.holds("web") })
	t.Run("exec --timeout ends the process", func(t *testing.T) {
		h.fails(125, []string{`run a command in "web": it was ended after 1s`}, "exec", "--timeout", "1s", "web", "--", "sleep", "98765")
		h.eventually(10*time.Second, "the process has ended", func() error {
			if r := h.run("", "exec", "web", "--", "pgrep", "-fx", "sleep 98765"); r.code != 1 {
				return fmt.Errorf("%+v", r)
			}
			return nil
		})
	})
	t.Run("stats measure", func(t *testing.T) { h.measures("web") })
	t.Run("restart keeps port and disk", func(t *testing.T) {
		h.ok("exec", "web", "--", "sh", "-c", "echo kept > /root/kept")
		before := h.ok("exec", "web", "--", "cat", "/proc/sys/kernel/random/boot_id")
		if got := h.ok("instance", "restart", "web"); got != "web\n" {
			t.Errorf("it printed %q", got)
		}
		h.page(url, "page of web\n")
		if got := h.ok("exec", "web", "--", "cat", "/root/kept"); got != "kept\n" {
			t.Errorf("the disk did not survive: %q", got)
		}
		if h.ok("exec", "web", "--", "cat", "/proc/sys/kernel/random/boot_id") == before {
			t.Error("it is the same boot")
		}
	})
	t.Run("wait gives the code", func(t *testing.T) { h.waits() })
	t.Run("prune spares the young and what runs", func(t *testing.T) {
		if got := h.ok("instance", "prune", "--stopped-older-than", "1d"); got != "" {
			t.Errorf("deleted %q", got)
		}
		if got := h.ok("instance", "prune", "--stopped-older-than", "0s"); got != "job\n" {
			t.Errorf("deleted %q", got)
		}
		h.fails(1, []string{"job", "hint: aegis ps"}, "instance", "info", "job")
	})
	t.Run("events tell it", func(t *testing.T) { h.tells() })
	t.Run("metrics count it", func(t *testing.T) { h.counts() })
	t.Run("many names", func(t *testing.T) {
		h.fails(1, []string{"nobody"}, "instance", "stop", "nobody", "web")
		if got := h.info("web").State; got != "STOPPED" {
			t.Errorf("web is %s", got)
		}
	})
}

// holds holds an instance that pauses after a second.
func (h *home) holds(name string) {
	h.state(name, "PAUSED", 30*time.Second)
	h.ok("instance", "hold", name, "--for", "1h", "--reason", "a test")
	for deadline := time.Now().Add(4 * time.Second); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		info := h.info(name) // the passing of time is what is tested
		if info.State != "RUNNING" || !slices.Contains(info.AwakeBecause, "lease: a test") {
			h.t.Fatalf("held, it is %s, awake by %q", info.State, info.AwakeBecause)
		}
	}
	h.ok("instance", "release", name)
	h.state(name, "PAUSED", 30*time.Second)
	h.ok("instance", "resume", name)
}

// waits waits for a job that ends with 7.
func (h *home) waits() {
	h.t.Helper()
	h.ok("instance", "start", "--name", "job", "--", "sh", "-c", "mkfifo /tmp/go; read line < /tmp/go; exit $line")
	waited := make(chan result, 1)
	go func() { waited <- h.run("", "instance", "wait", "--json", "job") }()
	h.ok("exec", "job", "--", "sh", "-c", "until [ -p /tmp/go ]; do sleep 0.05; done; echo 7 > /tmp/go")
	r := <-waited
	var exit client.Exit
	if err := json.Unmarshal([]byte(r.stdout), &exit); err != nil || r.code != 7 || exit.Code != 7 || exit.Reason != "exited" {
		h.t.Errorf("%+v %v", r, err)
	}
	if r := h.run("", "instance", "wait", "job"); r.code != 7 || r.stdout != "" {
		h.t.Errorf("of a stopped one: %+v", r)
	}
}

// tells wants the life of that job, from its creation to its deletion.
func (h *home) tells() {
	h.t.Helper()
	var told []string
	for line := range strings.Lines(h.ok("events")) {
		var e client.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			h.t.Fatalf("%q: %v", line, err)
		}
		if e.Name == "job" {
			told = append(told, e.Event)
		}
		if e.Name == "job" && e.Event == "stopped" && (e.Exit == nil || e.Exit.Code != 7) {
			h.t.Errorf("%s", line)
		}
	}
	if got := strings.Join(told, " "); got != "created starting running stopped deleted" {
		h.t.Errorf("%s", got)
	}
}

// measures wants stats to see a loop in an instance.
func (h *home) measures(name string) {
	h.t.Helper()
	h.ok("exec", name, "--", "sh", "-c", "setsid sh -c 'while [ ! -e /tmp/enough ]; do :; done' >/dev/null 2>&1 </dev/null &")
	h.eventually(time.Minute, "a loop is seen", func() error {
		var all []struct {
			Name string
			CPU  float64 `json:"cpu_percent"`
			Mem  int64   `json:"memory_used"`
		}
		err := json.Unmarshal([]byte(h.ok("stats", "--json")), &all)
		if err == nil && (len(all) != 1 || all[0].CPU < 20 || all[0].Mem < 16<<20) {
			err = fmt.Errorf("%+v", all)
		}
		return err
	})
	h.ok("exec", name, "--", "touch", "/tmp/enough")
}

// counts wants the figures of one running instance that has been started twice.
func (h *home) counts() {
	h.t.Helper()
	c := http.Client{Timeout: time.Minute, Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(h.dir, "aegisd.sock"))
	}}}
	defer c.CloseIdleConnections()
	res, err := c.Get("http://aegisd/metrics")
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	for _, line := range []string{`aegis_instances{state="STOPPED"} 0`, `aegis_wake_seconds_count{from="STOPPED"} 3`, `name="web"} `} {
		if err != nil || !strings.Contains(string(text), line) {
			h.t.Errorf("no line %s: %v", line, err)
		}
	}
}
