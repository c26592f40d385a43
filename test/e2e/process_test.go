package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestRun(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	// Each has the name of the one before, whose VM is still on its way.
	run := func(stdin string, args ...string) result {
		r := h.run(stdin, append([]string{"run", "--name", "job"}, args...)...)
		if list := h.ok("instance", "list", "-q"); list != "" {
			t.Errorf("after its end the list has %q", list)
		}
		return r
	}
	t.Run("streams and codes", func(t *testing.T) {
		r := run("to stdin", "--", "sh", "-c", "cat; echo err >&2; exit 3")
		if r.code != 3 || r.stdout != "to stdin" || r.stderr != "err\n" {
			t.Errorf("%+v", r)
		}
	})
	for _, c := range []struct {
		name    string
		command []string
		code    int
	}{
		{"a signal", []string{"sh", "-c", "kill -9 $$"}, 137},
		{"not found", []string{"no-such-command"}, 127},
		{"not executable", []string{"/etc/passwd"}, 126},
	} {
		t.Run(c.name, func(t *testing.T) {
			if r := run("", append([]string{"--"}, c.command...)...); r.code != c.code {
				t.Errorf("%+v, want %d", r, c.code)
			}
		})
	}
	t.Run("environment, directory, user", func(t *testing.T) {
		h.write(filepath.Join(h.cwd, "env"), "# comment\nB=two words\n")
		h.write(filepath.Join(h.cwd, "mine/theirs"), "")
		got := h.ok("run", "-e", "A=1", "--env-file", "env", "-w", "/tmp", "-u", "nobody", "--workspace", "./mine", "--", "sh", "-c",
			`echo "$A $B $(pwd) $(id -un)"; cd /workspace; touch made; stat -c %U . theirs made`)
		if got != "1 two words /tmp nobody\nnobody\nnobody\nnobody\n" {
			t.Errorf("%q", got)
		}
		if made, err := os.Stat(filepath.Join(h.cwd, "mine/made")); err != nil || int(made.Sys().(*syscall.Stat_t).Uid) != os.Geteuid() {
			t.Errorf("made by nobody: %v %v", made, err)
		}
	})
	t.Run("the workspace of a run", func(t *testing.T) {
		if got := h.ok("run", "--", "sh", "-c", "pwd; touch x && ls"); got != "/workspace\nx\n" {
			t.Errorf("%q", got)
		}
		h.write(filepath.Join(h.cwd, "in/file"), "host\n")
		r := run("", "--workspace", "./in:ro", "--", "sh", "-c", "cat file; echo x > file")
		if r.code == 0 || r.stdout != "host\n" || !strings.Contains(r.stderr, "Read-only file system") {
			t.Errorf("%+v", r)
		}
	})
	h.becomesBare()
}

func TestInterruptReachesTheProcess(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	cmd := h.command(ctx, "run", "--", "sh", "-c", `trap 'echo caught; exit 5' INT; echo ready; while :; do sleep 0.1; done`)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 64)
	n, _ := out.Read(line)
	if string(line[:n]) != "ready\n" {
		t.Fatalf("%q", line[:n])
	}
	cmd.Process.Signal(os.Interrupt)
	n, _ = out.Read(line)
	cmd.Wait()
	if string(line[:n]) != "caught\n" || cmd.ProcessState.ExitCode() != 5 {
		t.Errorf("%q, status %d", line[:n], cmd.ProcessState.ExitCode())
	}
}

func TestRunEndsWithItsClient(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.ok("up")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cmd := h.command(ctx, "run", "--name", "left", "--", "sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h.eventually(time.Minute, "it runs", func() error {
		if r := h.run("", "instance", "info", "left"); !strings.Contains(r.stdout, "RUNNING") {
			return fmt.Errorf("%+v", r)
		}
		return nil
	})
	cancel() // SIGKILL
	cmd.Wait()
	h.eventually(30*time.Second, "it is gone", func() error {
		if out := h.ok("instance", "list", "-q"); out != "" {
			return fmt.Errorf("%s", out)
		}
		return nil
	})
	h.becomesBare()
}

func TestExec(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.ok("instance", "start", "--name", "box", "--pause-after", "never", "--", "sleep", "infinity")
	t.Run("streams and codes", func(t *testing.T) {
		r := h.run("in", "exec", "box", "--", "sh", "-c", "cat; echo err >&2; exit 9")
		if r.code != 9 || r.stdout != "in" || r.stderr != "err\n" {
			t.Errorf("%+v", r)
		}
		if r := h.run("", "exec", "box", "--", "nothing-there"); r.code != 127 {
			t.Errorf("%+v", r)
		}
	})
	t.Run("megabytes both ways", func(t *testing.T) {
		data := bytes.Repeat([]byte("0123456789abcdef\x00\xff\n"), 1<<18) // 4.75 MiB
		if r := h.run(string(data), "exec", "box", "--", "cat"); r.code != 0 || r.stdout != string(data) {
			t.Errorf("%d bytes of %d came back, status %d", len(r.stdout), len(data), r.code)
		}
	})
	t.Run("from PAUSED", func(t *testing.T) {
		h.ok("instance", "pause", "box")
		if got := h.ok("exec", "box", "--", "echo", "awake"); got != "awake\n" {
			t.Errorf("%q", got)
		}
	})
	t.Run("a background child does not delay the end", func(t *testing.T) {
		began := time.Now()
		if got := h.ok("exec", "box", "--", "sh", "-c", "sleep 60 & echo started"); got != "started\n" {
			t.Errorf("%q", got)
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("it took %s", took)
		}
	})
	t.Run("nothing of one's group is another's", func(t *testing.T) { h.in(t).ownGroups("box") })
	t.Run("ends with its client", func(t *testing.T) {
		cmd := exec.Command(filepath.Join(bin, "aegis"), "exec", "box", "--", "sleep", "4242")
		cmd.Env = h.env
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		sleeping := func() bool {
			return h.run("", "exec", "box", "--", "sh", "-c", `grep -qszx '424[2]' /proc/[0-9]*/cmdline`).code == 0 // an argument that its own are not
		}
		h.eventually(20*time.Second, "it sleeps", func() error {
			if !sleeping() {
				return fmt.Errorf("no")
			}
			return nil
		})
		cmd.Process.Signal(syscall.SIGKILL)
		cmd.Wait()
		h.eventually(20*time.Second, "it is gone", func() error {
			if sleeping() {
				return fmt.Errorf("it still runs")
			}
			return nil
		})
	})
}

func TestLogs(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.ok("instance", "start", "--name", "talk", "--", "sh", "-c",
		`echo out; echo err >&2; i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; printf 'last without newline'`)
	h.state("talk", "STOPPED", time.Minute)
	lines := strings.Split(strings.TrimSuffix(h.run("", "logs", "talk", "--stream", "stdout").stdout, "\n"), "\n")
	if len(lines) != 2002 || lines[0] != "out" || lines[1] != "line 0" || lines[2000] != "line 1999" || lines[2001] != "last without newline" {
		t.Errorf("%d lines: %q … %q", len(lines), lines[:min(3, len(lines))], lines[max(0, len(lines)-2):])
	}
	if got := h.ok("logs", "talk", "--tail", "1", "--stream", "stdout"); got != "last without newline" {
		t.Errorf("tail: %q", got)
	}
	if r := h.run("", "logs", "talk", "--stream", "stderr"); !strings.Contains(r.stdout+r.stderr, "err\n") {
		t.Errorf("stderr: %+v", r)
	}
	h.kill(h.one("aegisd"))
	if got := h.ok("logs", "talk", "--tail", "1", "--stream", "stdout"); got != "last without newline" {
		t.Errorf("after the daemon: %q", got)
	}
}

// TestLogsFollow follows a log while its instance writes, stops and starts again.
func TestLogsFollow(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.ok("instance", "start", "--name", "tick", "--", "sh", "-c", "cat .life 2>/dev/null; echo first > .life; i=0; while :; do echo tick $i; i=$((i+1)); sleep 0.2; done")
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	cmd := h.command(ctx, "logs", "tick", "--follow")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var seen string
	until := func(want string) {
		t.Helper()
		for buf := make([]byte, 4096); !strings.Contains(seen, want); {
			n, err := out.Read(buf)
			if err != nil {
				t.Fatalf("%v after %q", err, seen)
			}
			seen += string(buf[:n])
		}
	}
	until("tick 5\n")
	if !strings.HasPrefix(seen, "tick 0\ntick 1\n") {
		t.Errorf("followed %q", seen)
	}
	h.ok("instance", "stop", "--time", "0s", "tick")
	before := len(seen)
	h.ok("instance", "start", "--name", "tick")
	until("first\n")
	until("first\ntick 0\ntick 1\n")
	t.Logf("followed %d bytes, of them %d of the first life", len(seen), before)
	cmd.Process.Signal(os.Interrupt)
	cmd.Wait()
}

// ownGroups holds that a process may get the group of one that has ended, but nothing that
// happened there: a limit, a group below it, a kill for memory, or somebody left behind.
func (h *home) ownGroups(name string) {
	h.t.Helper()
	const group = "g=/sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup); "
	in := func(script string) string { return h.ok("exec", name, "--", "sh", "-c", group+script) }
	state := func() string {
		return in("cat $g/memory.max; wc -l < $g/cgroup.procs; ls -d $g/*/; grep oom_kill $g/memory.events; echo $g")
	}
	asNew := regexp.MustCompile(`^max\n[12]\noom_kill 0\n(/\S+)\n$`)
	mine := func() string {
		said := state()
		if m := asNew.FindStringSubmatch(said); m != nil {
			return m[1]
		}
		h.t.Errorf("its group is not as new: %q", said)
		return ""
	}
	h.eventually(30*time.Second, "two get the same group", func() error {
		if first, second := mine(), mine(); first != second {
			return fmt.Errorf("%s, %s", first, second)
		}
		return nil
	})
	for _, change := range []string{"echo 200M > $g/memory.max", "mkdir $g/below", "sleep 1000 > /dev/null 2>&1 &", "chown 1 $g", "echo 0 > $g/pids.max; true"} {
		in(change)
		for range 3 {
			mine()
		}
	}
}
