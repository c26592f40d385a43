// Package e2e tests Aegis as its users meet it: the built programs, a home of its
// own for each test, and real virtual machines.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aegis/client"
	"aegis/internal/undo"
)

// bin holds the built programs (AEGIS_BIN), cache (AEGIS_CACHE) the kernel and the default image.
var bin, cache string

// other is where the programs of another version are; empty until a test needs them.
var other string

func TestMain(m *testing.M) {
	root, err := filepath.Abs("../..")
	if err != nil {
		panic(err)
	}
	if bin = os.Getenv("AEGIS_BIN"); bin == "" {
		bin = filepath.Join(root, "bin")
	}
	if cache = os.Getenv("AEGIS_CACHE"); cache == "" {
		cache = filepath.Join(root, "build", "cache")
	}
	code := m.Run()
	os.RemoveAll(other)
	os.Exit(code)
}

// home is one AEGIS_HOME with its daemon.
type home struct {
	t      *testing.T
	bin    string // where its programs are
	dir    string
	cwd    string      // where commands run
	last   *undo.Stack // runs when the daemon has ended
	within []string    // the command that runs its commands somewhere else
	env    []string
}

// newHome makes a home whose daemon, processes and files are gone after the test.
func newHome(t *testing.T) *home {
	t.Helper()
	if _, err := os.Stat(filepath.Join(bin, "aegis")); err != nil {
		t.Skip("pending: no built programs: run make build")
	}
	if _, err := os.Stat(cache); err != nil {
		t.Skip("pending: no kernel and image: run make test, or aegis setup with AEGIS_CACHE=" + cache)
	}
	dir, err := os.MkdirTemp("", "aegis-e2e-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	h := &home{t: t, bin: bin, dir: filepath.Join(dir, "home"), cwd: filepath.Join(dir, "cwd"), last: &undo.Stack{}}
	t.Cleanup(h.last.Run)
	for _, d := range []string{h.dir, h.cwd} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	h.config(`front-door = "127.0.0.1:0"`)
	// Templates are off: else the daemon of every test would make one behind its back, and
	// the tests would differ in what their VMs come from. stock switches them on.
	h.env = append(os.Environ(), "AEGIS_HOME="+h.dir, "AEGIS_CACHE="+cache, "NO_COLOR=1", "AEGIS_TEMPLATES=false")
	t.Cleanup(h.close)
	return h
}

// in is the home for a subtest, whose failures are its own.
func (h *home) in(t *testing.T) *home {
	sub := *h
	sub.t = t
	return &sub
}

func (h *home) config(lines ...string) {
	h.write(filepath.Join(h.dir, "config.toml"), strings.Join(lines, "\n")+"\n")
}

func (h *home) write(path, text string) {
	h.t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

// close ends the daemon and says what it left behind.
func (h *home) close() {
	if h.t.Failed() {
		if log, err := os.ReadFile(filepath.Join(h.dir, "aegisd.log")); err == nil {
			h.t.Logf("aegisd.log:\n%s", tail(string(log), 4000))
		}
	}
	if r := h.run("", "down"); r.code != 0 {
		h.t.Errorf("aegis down: %d %s", r.code, r.stderr)
	}
	h.eventually(5*time.Second, "no process of the home is left", func() error {
		if left := h.processes(); len(left) > 0 {
			return fmt.Errorf("%v", left)
		}
		return nil
	})
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }

// result is how a command ended.
type result struct {
	code           int
	stdout, stderr string
}

// commandTime is far beyond what any command of these tests needs on a slow day.
const commandTime = 3 * time.Minute

// run runs aegis with stdin and returns how it ended.
func (h *home) run(stdin string, args ...string) result {
	h.t.Helper()
	return h.runFor(commandTime, stdin, args...)
}

// runFor is run of a command that may take so long.
func (h *home) runFor(limit time.Duration, stdin string, args ...string) result {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := h.command(ctx, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		h.t.Fatalf("aegis %s: %v", strings.Join(args, " "), err)
	}
	if ctx.Err() != nil {
		h.t.Fatalf("aegis %s: no end after %s\n%s%s", strings.Join(args, " "), limit, &stdout, &stderr)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func (h *home) command(ctx context.Context, args ...string) *exec.Cmd {
	line := append(append(slices.Clone(h.within), filepath.Join(h.bin, "aegis")), args...)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	cmd.Dir, cmd.Env = h.cwd, h.env
	return cmd
}

// ok runs aegis and fails the test unless it succeeds; it returns its output.
func (h *home) ok(args ...string) string {
	h.t.Helper()
	r := h.run("", args...)
	if r.code != 0 {
		h.t.Fatalf("aegis %s: exit status %d\n%s%s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

// fails runs aegis and wants this exit status, and each word on standard error.
func (h *home) fails(code int, words []string, args ...string) {
	h.t.Helper()
	r := h.run("", args...)
	if r.code != code {
		h.t.Errorf("aegis %s: exit status %d, want %d\n%s%s", strings.Join(args, " "), r.code, code, r.stdout, r.stderr)
	}
	for _, word := range words {
		if !strings.Contains(r.stderr, word) {
			h.t.Errorf("aegis %s: stderr lacks %q:\n%s", strings.Join(args, " "), word, r.stderr)
		}
	}
}

// info is `aegis instance info NAME --json`.
func (h *home) info(name string) client.Instance {
	h.t.Helper()
	var view client.Instance
	if err := json.Unmarshal([]byte(h.ok("instance", "info", name, "--json")), &view); err != nil {
		h.t.Fatalf("info %s: %v", name, err)
	}
	return view
}

// url is where the instance's first exposed port answers.
func (h *home) url(name string) string {
	h.t.Helper()
	ports := h.info(name).Ports
	if len(ports) == 0 {
		h.t.Fatalf("%s exposes nothing", name)
	}
	return ports[0].URL
}

// state waits until the instance has this state.
func (h *home) state(name, want string, within time.Duration) {
	h.t.Helper()
	h.eventually(within, name+" is "+want, func() error {
		if got := h.info(name).State; got != want {
			return fmt.Errorf("it is %s", got)
		}
		return nil
	})
}

// get fetches a page, once, on a connection of its own.
func (h *home) get(url string) (int, string, http.Header) {
	h.t.Helper()
	c := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := c.Get(url)
	if err != nil {
		h.t.Fatalf("get %s: %v", url, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatalf("get %s: %v", url, err)
	}
	return res.StatusCode, string(body), res.Header
}

// page wants a 200 with this body.
func (h *home) page(url, want string) {
	h.t.Helper()
	if code, body, _ := h.get(url); code != http.StatusOK || body != want {
		h.t.Fatalf("get %s: %d %q, want 200 %q", url, code, body, want)
	}
}

// eventually tries until check succeeds.
func (h *home) eventually(within time.Duration, what string, check func() error) {
	h.t.Helper()
	deadline := time.Now().Add(within)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("after %s, not yet: %s: %v", within, what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
