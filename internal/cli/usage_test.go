package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"pgregory.net/rapid"
)

// outcome is how a command ended.
type outcome struct {
	code        int
	out, stderr string
}

// tried runs a command in this process, in a home without a daemon, and starts none.
func tried(t testing.TB, args ...string) outcome {
	in, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	var out, errs bytes.Buffer
	env := map[string]string{"AEGIS_HOME": filepath.Join(os.TempDir(), "aegis-none")}
	a := &app{in: in, out: &out, err: &errs, env: func(name string) string { return env[name] }}
	root := a.root()
	a.noAutostart = true
	root.SetArgs(args)
	code := a.exit(root.ExecuteContext(t.Context()))
	return outcome{code, out.String(), errs.String()}
}

// leaves are the commands that do something.
func leaves() []*cobra.Command {
	var out []*cobra.Command
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
		if !cmd.HasSubCommands() {
			out = append(out, cmd)
		}
	}
	walk((&app{env: func(string) string { return "" }}).root())
	return out
}

// threeParts is an error's shape: one line of what and why, one of the next command,
// and nothing that would drive a terminal.
var threeParts = regexp.MustCompile(`\Aaegis: [^\n]+: [^\n]+\nhint: [^\n]+\n\z`)

func (o outcome) wellFormed() bool {
	return threeParts.MatchString(o.stderr) && !strings.ContainsFunc(o.stderr, func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f }) &&
		!strings.Contains(o.stderr, "EOF") && !strings.Contains(o.stderr, "goroutine ")
}

// TestEveryCommandRefuses holds that no command takes a flag it doesn't have, an
// argument too many, or a value of the wrong kind.
func TestEveryCommandRefuses(t *testing.T) {
	many := []string{"stats", "help", "secret delete", "image delete", "instance stop", "instance delete", "instance pause", "instance resume", "instance restart", "instance release"}
	for _, cmd := range leaves() {
		verb := strings.Fields(verbOf(cmd))
		refuse := func(args ...string) {
			t.Helper()
			o := tried(t, append(slices.Clone(verb), args...)...)
			if o.code != 2 || o.out != "" || !o.wellFormed() || !strings.HasSuffix(o.stderr, "\nhint: aegis "+verbOf(cmd)+" --help\n") {
				t.Errorf("aegis %s %q: exit status %d, %q, %q", verbOf(cmd), args, o.code, o.out, o.stderr)
			}
		}
		refuse("--bogus")
		if !slices.Contains(many, verbOf(cmd)) {
			refuse("a:b", "c", "d", "e")
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if kind := f.Value.Type(); kind == "bool" || kind == "int" || kind == "duration" {
				refuse("--" + f.Name + "=\x1b[31mred")
			} else {
				refuse("--" + f.Name) // whose value is missing
			}
		})
	}
}

// TestAnyCommandLine throws words together.
func TestAnyCommandLine(t *testing.T) {
	var words []string
	for _, cmd := range leaves() {
		if slices.Contains([]string{"up", "doctor"}, verbOf(cmd)) { // which act without a daemon
			continue
		}
		words = append(words, verbOf(cmd))
	}
	var flags []string
	for _, cmd := range leaves() {
		cmd.Flags().VisitAll(func(f *pflag.Flag) { flags = append(flags, "--"+f.Name) })
	}
	flags = append(slices.DeleteFunc(flags, func(f string) bool { return f == "--no-autostart" }), "-e", "-it", "-q", "-", "--")
	junk := []string{"", "web", "K=V", "=", "-1", "0", "10m", "a:b", ":", "./x", "\x00", "\xff\xfe", "\x1b]0;x\a", "9999999999999999999999", "no\nline", strings.Repeat("x", 5000)}
	rapid.Check(t, func(r *rapid.T) {
		verb := rapid.SampledFrom(words).Draw(r, "verb")
		args := append(strings.Fields(verb), rapid.SliceOfN(rapid.SampledFrom(append(flags, junk...)), 0, 6).Draw(r, "args")...)
		o := tried(t, args...)
		switch {
		case o.code == 0:
		case slices.Contains([]int{1, 2, 125}, o.code) && o.wellFormed():
		default:
			r.Fatalf("aegis %q: exit status %d, %q", args, o.code, o.stderr)
		}
	})
}
