//go:build linux

package cli

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"aegis/client"
	"aegis/internal/api/apitest"
)

// aegis is the command as a process of its own, with a daemon in memory.
func aegis(t *testing.T, f *apitest.Fake, args ...string) *exec.Cmd {
	t.Helper()
	home, err := os.MkdirTemp("", "aegis")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	stop, err := f.Serve(filepath.Join(home, "aegisd.sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Args[0] = "aegis" // TestMain goes by it
	cmd.Env = append(os.Environ(), "AEGIS_HOME="+home)
	return cmd
}

func wantStatus(t *testing.T, err error, want int) {
	t.Helper()
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	}
	if got != want {
		t.Errorf("exit status %d (%v), want %d", got, err, want)
	}
}

// expect reads until text has come.
func expect(t *testing.T, r *bufio.Reader, text string) string {
	t.Helper()
	var all strings.Builder
	for !strings.Contains(all.String(), text) {
		b, err := r.ReadByte()
		if err != nil {
			t.Fatalf("%q came, then %v; want %q", &all, err, text)
		}
		all.WriteByte(b)
	}
	return all.String()
}

func TestSecondInterruptEndsTheInstance(t *testing.T) {
	f := &apitest.Fake{}
	cmd := aegis(t, f, "run", "--name", "x", "--", "stubborn")
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(pipe)
	expect(t, out, "stubborn\n")
	for n, s := range map[string]syscall.Signal{"15": syscall.SIGTERM, "1": syscall.SIGHUP, "3": syscall.SIGQUIT} {
		cmd.Process.Signal(s)
		expect(t, out, "ignored "+n+"\n")
	}
	cmd.Process.Signal(syscall.SIGINT)
	expect(t, out, "ignored 2\n")
	cmd.Process.Signal(syscall.SIGINT)
	io.Copy(io.Discard, out)
	wantStatus(t, cmd.Wait(), 130)
	if calls := f.Calls(); !slices.Contains(calls, "Delete force=true inst-aaaaaaaaaaaa") {
		t.Errorf("calls %q", calls)
	}
}

func TestInterruptEndsAWait(t *testing.T) {
	f := &apitest.Fake{}
	if _, err := f.Services().Instances.Create(t.Context(), client.Create{Name: "web"}); err != nil {
		t.Fatal(err)
	}
	cmd := aegis(t, f, "instance", "wait", "web")
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for !slices.Contains(f.Calls(), "Wait web") {
		time.Sleep(time.Millisecond) // the call comes from another process
	}
	cmd.Process.Signal(syscall.SIGINT)
	wantStatus(t, cmd.Wait(), 130)
	if said.Len() > 0 {
		t.Errorf("it said %q", said.String())
	}
}

func TestTerminal(t *testing.T) {
	f := &apitest.Fake{}
	cmd := aegis(t, f, "run", "-it", "--", "cat")
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	out := bufio.NewReader(terminal)
	if got := expect(t, typed(terminal, out, "ab"), "b"); got != "ab" {
		t.Errorf("the terminal echoed: %q", got)
	}
	// Raw: Ctrl-C is a byte for the guest's own terminal, and no line is waited for.
	io.WriteString(terminal, "\x03b")
	expect(t, out, "\x03b")
	pty.Setsize(terminal, &pty.Winsize{Rows: 30, Cols: 100})
	expect(t, out, "size 30x100")
	cmd.Process.Signal(syscall.SIGTERM)
	wantStatus(t, cmd.Wait(), 143)
}

func TestTerminalTellsItsSizeAtTheStart(t *testing.T) {
	f := &apitest.Fake{}
	cmd := aegis(t, f, "exec", "-t", "web", "--", "exit", "4")
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	go io.Copy(io.Discard, terminal)
	wantStatus(t, cmd.Wait(), 125) // there is no such instance
	if calls := f.Calls(); !slices.Contains(calls, "Exec web exit 4 tty=true 24x80 user= dir=") {
		t.Errorf("calls %q", calls)
	}
}

func TestShellTakesTheTerminal(t *testing.T) {
	for _, args := range [][]string{{"shell", "web"}, {"shell", "-u", "nobody", "-w", "/tmp", "-e", "TERM=dumb", "web"}} {
		f := &apitest.Fake{}
		f.Services().Instances.Create(t.Context(), client.Create{Name: "web"})
		f.Services().Instances.Start(t.Context(), "web")
		cmd := aegis(t, f, args...)
		cmd.Env = append(cmd.Env, "TERM=vt220")
		terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 24, Cols: 80})
		if err != nil {
			t.Fatal(err)
		}
		defer terminal.Close()
		out := bufio.NewReader(terminal)
		expect(t, typed(terminal, out, "\x03b"), "\x03b")
		pty.Setsize(terminal, &pty.Winsize{Rows: 30, Cols: 100})
		expect(t, out, "size 30x100")
		cmd.Process.Signal(syscall.SIGHUP)
		wantStatus(t, cmd.Wait(), 129)
		call, want := f.Calls()[2], "tty=true 24x80 user= dir= TERM=vt220"
		if len(args) > 2 {
			want = "tty=true 24x80 user=nobody dir=/tmp TERM=dumb"
		}
		if !strings.HasPrefix(call, "Exec web sh -c ") || !strings.HasSuffix(call, want) {
			t.Errorf("%q: called %q, want …%s", args, call, want)
		}
	}
}

func TestSecretPromptDoesNotEcho(t *testing.T) {
	f := &apitest.Fake{}
	cmd := aegis(t, f, "secret", "set", "KEY")
	terminal, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	out := bufio.NewReader(terminal)
	said := expect(t, out, "value of KEY: ")
	said += expect(t, typed(terminal, out, "s3cr3t\n"), "\n")
	wantStatus(t, cmd.Wait(), 0)
	if strings.Contains(said, "s3cr3t") || string(f.Value("KEY")) != "s3cr3t" {
		t.Errorf("the terminal showed %q, the daemon got %q", said, f.Value("KEY"))
	}
}

// shown is what a command writes to a terminal of so many columns.
func shown(t *testing.T, cols uint16, cmd *exec.Cmd) string {
	t.Helper()
	terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 9, Cols: cols})
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	text, _ := io.ReadAll(terminal) // its end is an error of the terminal
	cmd.Wait()
	return string(text)
}

func TestTableFitsTheTerminal(t *testing.T) {
	f := &apitest.Fake{}
	f.Services().Instances.Create(t.Context(), client.Create{Name: "web", Command: []string{"python", "-m", "http.server", "--bind", "127.0.0.1"}, Expose: []string{"80"}})
	for cols, want := range map[uint16]string{44: "python …", 200: "python -m http.server --bind 127.0.0.1"} {
		text := shown(t, cols, aegis(t, f, "instance", "list"))
		if !strings.Contains(text, want) || strings.Count(text, "\r\n") != 2 {
			t.Errorf("%d columns: %q has no %q", cols, text, want)
		}
		for line := range strings.SplitSeq(text, "\r\n") {
			if n := len([]rune(line)); n > int(cols) {
				t.Errorf("%d characters in %d columns: %q", n, cols, line)
			}
		}
	}
	// What somebody reads by program, and a list of names and values, is whole.
	if text := shown(t, 30, aegis(t, f, "instance", "info", "web")); !strings.Contains(text, "http.server --bind 127.0.0.1") {
		t.Errorf("info cut %q", text)
	}
	whole, err := aegis(t, f, "ps").Output()
	if err != nil || !strings.Contains(string(whole), "python -m http.server --bind 127.0.0.1") {
		t.Errorf("%q %v", whole, err)
	}
}

func TestNoColor(t *testing.T) {
	for variable, coloured := range map[string]bool{"NO_COLOR=": true, "NO_COLOR=1": false} {
		cmd := aegis(t, &apitest.Fake{}, "doctor")
		cmd.Env = append(cmd.Env, variable)
		if text := shown(t, 80, cmd); strings.Contains(text, "\x1b[33mwarn") != coloured || !strings.Contains(text, "accelerator") {
			t.Errorf("%s: %q", variable, text)
		}
	}
	if text, err := aegis(t, &apitest.Fake{}, "doctor").Output(); err != nil || strings.Contains(string(text), "\x1b") {
		t.Errorf("without a terminal: %q %v", text, err)
	}
}

// typed types text once the prompt's program has switched the echo off.
func typed(terminal *os.File, out *bufio.Reader, text string) *bufio.Reader {
	for {
		state, err := unix.IoctlGetTermios(int(terminal.Fd()), unix.TCGETS)
		if err != nil || state.Lflag&unix.ECHO == 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	io.WriteString(terminal, text)
	return out
}
