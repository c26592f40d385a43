//go:build linux

package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aegis/internal/fault"
	"aegis/internal/wire"
)

func TestExec(t *testing.T) {
	link := started(t)
	for name, c := range map[string]struct {
		p           wire.Process
		out, errout string
		status      int
	}{
		"both streams": {wire.Process{Args: []string{"sh", "-c", "echo out; echo err >&2; exit 3"}}, "out\n", "err\n", 3},
		"signal":       {wire.Process{Args: []string{"sh", "-c", "kill -9 $$"}}, "", "", 137},
		"environment":  {wire.Process{Args: []string{"sh", "-c", "echo $BASE $BOTH $OWN $HOSTNAME $TERM"}, Env: map[string]string{"OWN": "o", "BOTH": "o"}}, "b o o box\n", "", 0},
		"user":         {wire.Process{Args: []string{"sh", "-c", "id -u; id -g; id -G; echo $HOME"}, User: "65534:12", Dir: "/"}, "65534\n12\n12\n/nonexistent\n", "", 0},
		"directory":    {wire.Process{Args: []string{"pwd"}, Dir: "/usr"}, "/usr\n", "", 0},
		"no input":     {wire.Process{Args: []string{"sh", "-c", "cat; test -p /dev/stdin && echo over"}, NoStdin: true}, "over\n", "", 0},
		"left behind":  {wire.Process{Args: []string{"sh", "-c", "sleep 3 & echo now"}}, "now\n", "", 0},
		"signals":      {wire.Process{Args: []string{"grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"}}, fmt.Sprintf("SigBlk:\t%016x\nSigIgn:\t%016x\n", 0, libcIgnored(t)), "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			if c.p.User != "" && os.Getuid() != 0 {
				t.Skip("pending: another user needs root")
			}
			c.p.ID = strings.ReplaceAll(name, " ", "-")
			begin := time.Now()
			p, err := link.Exec(t.Context(), c.p)
			if err != nil {
				t.Fatal(err)
			}
			out, errout, e := collect(t, p, nil)
			if string(out) != c.out || string(errout) != c.errout || e.Status() != c.status {
				t.Errorf("%q, %q, %+v; want %q, %q, %d", out, errout, e, c.out, c.errout, c.status)
			}
			if name == "left behind" && time.Since(begin) > 2500*time.Millisecond {
				t.Errorf("the exit waited for a child in the background")
			}
		})
	}
}

// libcIgnored gives the signals 32 and 33 if whatever started this test ignores
// them. They are libc's own (nptl(7)), the Go runtime leaves them as they were
// (os/signal), and a child inherits them; as PID 1 the harness inherits nothing.
func libcIgnored(t *testing.T) uint64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	var ignored uint64
	for line := range strings.Lines(string(status)) {
		fmt.Sscanf(line, "SigIgn: %x", &ignored)
	}
	return ignored & (3 << 31)
}

func TestExecRefused(t *testing.T) {
	link := started(t)
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "plain"), []byte("#!/bin/sh\n"), 0o644)
	os.WriteFile(filepath.Join(dir, "orphan"), []byte("#!/no/such\n"), 0o755)
	os.WriteFile(filepath.Join(dir, "script"), []byte("echo ran $1\n"), 0o755)
	path := map[string]string{"PATH": dir + ":/usr/bin:/bin"}
	for name, c := range map[string]struct {
		p    wire.Process
		kind fault.Kind
	}{
		"not there":     {wire.Process{Args: []string{"nonesuch"}, Env: path}, fault.CommandNotFound},
		"no mode":       {wire.Process{Args: []string{"plain"}, Env: path}, fault.CommandNotRunnable},
		"interpreter":   {wire.Process{Args: []string{"orphan"}, Env: path}, fault.CommandNotRunnable},
		"directory":     {wire.Process{Args: []string{dir}}, fault.CommandNotFound},
		"empty":         {wire.Process{}, fault.Invalid},
		"workdir":       {wire.Process{Args: []string{"true"}, Dir: "/no/such"}, fault.Invalid},
		"user":          {wire.Process{Args: []string{"true"}, User: "nobody-here"}, fault.Invalid},
		"group":         {wire.Process{Args: []string{"true"}, User: "0:nobody-here"}, fault.Invalid},
		"variable name": {wire.Process{Args: []string{"true"}, Env: map[string]string{"A=B": "c"}}, fault.Invalid},
	} {
		c.p.ID = "refused"
		if _, err := link.Exec(t.Context(), c.p); !fault.Is(err, c.kind) {
			t.Errorf("%s: %v, want %s", name, err, c.kind)
		}
	}
	p, err := link.Exec(t.Context(), wire.Process{ID: "script", Args: []string{"script", "it"}, Env: path})
	if err != nil {
		t.Fatal(err)
	}
	if out, _, _ := collect(t, p, nil); string(out) != "ran it\n" {
		t.Errorf("a script without a first line gave %q", out)
	}
}

// A job that a shell leaves behind keeps its terminal open; the exit does not wait.
func TestTerminalLeftBehind(t *testing.T) {
	link := started(t)
	begin := time.Now()
	p, err := link.Exec(t.Context(), wire.Process{ID: "left", TTY: true, Args: []string{"bash", "-c", "set -m; sleep 5 & echo now; exit 3"}})
	if err != nil {
		t.Fatal(err)
	}
	out, _, e := collect(t, p, nil)
	if !strings.Contains(string(out), "now") || e.Status() != 3 {
		t.Errorf("%q %+v", out, e)
	}
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("the exit waited for a job in the background: %s", took)
	}
}

// TestExecIsTheMainUser holds that a process that names no user has the command's, with
// its environment.
func TestExecIsTheMainUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("pending: another user needs root")
	}
	link, _ := linked(t)
	main, _, err := link.Start(t.Context(), wire.Start{BaseEnv: map[string]string{"OF": "image"}, Main: wire.Process{Args: []string{"true"}, Dir: "/", User: "12:34"}})
	if err != nil {
		t.Fatal(err)
	}
	collect(t, main, nil)
	for user, want := range map[string]string{"": "12 34 image\n", "0:0": "0 0 image\n"} {
		p, err := link.Exec(t.Context(), wire.Process{ID: "e", Args: []string{"sh", "-c", "echo $(id -u) $(id -g) $OF"}, Dir: "/", User: user})
		if err != nil {
			t.Fatal(err)
		}
		if out, errout, _ := collect(t, p, nil); string(out) != want {
			t.Errorf("%q: %q, %q, want %q", user, out, errout, want)
		}
	}
}
