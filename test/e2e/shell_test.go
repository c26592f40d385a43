package e2e

import (
	"bufio"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/creack/pty"
)

// TestShell types into a real shell, through a terminal.
func TestShell(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.ok("instance", "start", "--name", "box")
	ctx, cancel := context.WithTimeout(t.Context(), commandTime)
	defer cancel()
	cmd := h.command(ctx, "shell", "box")
	cmd.Env = append(cmd.Env, "TERM=vt100")
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	out := bufio.NewReader(terminal)
	// What is typed is echoed; the quotes keep the echo from being the answer.
	say := func(typed, want string) {
		t.Helper()
		io.WriteString(terminal, typed)
		var all strings.Builder
		for !strings.Contains(all.String(), want) {
			b, err := out.ReadByte()
			if err != nil {
				t.Fatalf("after %q: %q, then %v; want %q", typed, all.String(), err, want)
			}
			all.WriteByte(b)
		}
	}
	say("echo is''it $SHELL $TERM; tty\n", "isit /bin/bash vt100\r\n/dev/pts/")
	say("stty size\n", "24 80")
	pty.Setsize(terminal, &pty.Winsize{Rows: 31, Cols: 101})
	say("until [ \"$(stty size)\" = '31 101' ]; do sleep 0.05; done; echo re''sized\n", "resized")
	// It is the command in the foreground that says so: a key before that is the shell's.
	say("sh -c 'echo sleep\"\"ing; exec sleep 1000'\n", "sleeping")
	say("\x03", "# ")
	say("echo still''here\n", "stillhere")
	say("sleep 1000 &\n", "[1]") // job control
	say("kill %1; exit 9\n", "exit")
	go io.Copy(io.Discard, out)
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 9 {
		t.Errorf("exit status %d", code)
	}

	r := h.run("echo $SHELL; id -un; pwd; exit 3\n", "shell", "-u", "nobody", "-w", "/tmp", "box")
	if r.code != 3 || r.stdout != "/usr/bin/bash\nnobody\n/tmp\n" {
		t.Errorf("without a terminal, as nobody: %+v", r)
	}
}

// terminal has a shell of the instance say the size of its terminal, and end.
func (h *home) terminal(name string) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), commandTime)
	defer cancel()
	cmd := h.command(ctx, "shell", name)
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 31, Cols: 101})
	if err != nil {
		h.t.Fatal(err)
	}
	defer terminal.Close()
	io.WriteString(terminal, "echo is''it $(stty size); exit 7\n")
	shown, _ := io.ReadAll(terminal) // an error at its end
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 7 || !strings.Contains(string(shown), "isit 31 101\r\n") {
		h.t.Errorf("%s: a shell: status %d, %q", name, code, shown)
	}
}
