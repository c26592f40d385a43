package cli

import (
	"bufio"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"

	"aegis/client"
	"aegis/internal/api/apitest"
)

// control is what drives a terminal; of it, a progress uses EL alone.
var control = regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]`)

// TestProgressOnATerminal has a start, a run and a set-up take their time.
func TestProgressOnATerminal(t *testing.T) {
	for name, c := range map[string]struct {
		args   []string
		stalls string // the call that waits for what is shown
		shown  string // in 24 columns, of which the last is the cursor's
		after  string
	}{
		"start": {[]string{"instance", "start", "--name", "web-of-a-long-name"}, "Start", "\r\x1b[Kstart web-of-a-lon…: 1s", "\r\x1b[Kweb-of-a-long-name\r\n"},
		"stop":  {[]string{"instance", "stop", "nobody"}, "Stop -1ns", "\r\x1b[Kstop nobody: 1s", "\r\x1b[Kaegis: find instance nobody"},
		"run":   {[]string{"run", "--name", "one", "--", "echo", "hi"}, "Run", "\r\x1b[Krun one: 1s", "\r\x1b[Khi\r\n"},
		"setup": {[]string{"setup"}, "Setup", "\r\x1b[Ksetup (1s)", "kernel: Linux 6\r\n\r\x1b[K\r\x1b[Kimage: building\r\nready\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			release := make(chan struct{})
			f := &apitest.Fake{Steps: []client.Progress{{Step: "kernel", Message: "Linux 6"}, {Step: "image", Message: "building", Done: 1, Total: 4}}}
			f.Fails = func(call string) error {
				if call == c.stalls {
					<-release
				}
				return nil
			}
			cmd := aegis(t, f, c.args...)
			cmd.Env = append(cmd.Env, "TERM=vt220", "NO_COLOR=")
			terminal, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 9, Cols: 24})
			if err != nil {
				t.Fatal(err)
			}
			defer terminal.Close()
			defer time.AfterFunc(30*time.Second, func() { cmd.Process.Kill() }).Stop()
			out := bufio.NewReader(terminal)
			said := expect(t, out, c.shown)
			close(release)
			said += expect(t, out, c.after)
			cmd.Wait()
			for _, sequence := range control.FindAllString(said, -1) {
				if sequence != "\x1b[K" {
					t.Errorf("%q drives the terminal", sequence)
				}
			}
			for line := range strings.SplitSeq(strings.ReplaceAll(said, "\x1b[K", ""), "\r") {
				if n := len([]rune(strings.TrimSpace(line))); n > 23 && !strings.Contains(line, "aegis: ") {
					t.Errorf("%d characters are too wide for the terminal: %q", n, line)
				}
			}
		})
	}
}
