package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// lines are those of all scripts, and of the tests that need a terminal, which run aegis.
func lines(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	var out []string
	for _, name := range append(files, "terminal_test.go") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if _, command, found := strings.Cut(line, "aegis "); found {
				out = append(out, command)
			} else if _, args, found := strings.Cut(line, "aegis(t, f, "); found {
				out = append(out, strings.NewReplacer(`"`, "", ",", "").Replace(args))
			}
		}
	}
	return out
}

// TestManualIsTested holds that a script uses each command, and each of its flags:
// help and manual pages come from the same tree.
func TestManualIsTested(t *testing.T) {
	all := lines(t)
	root := (&app{env: func(string) string { return "" }}).root()
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
		if cmd.HasSubCommands() || cmd.Hidden {
			return
		}
		mine := uses(all, verbOf(cmd))
		if len(mine) == 0 {
			t.Errorf("no script has aegis %s", verbOf(cmd))
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Name != "help" && !flagged(mine, f) {
				t.Errorf("no script has aegis %s --%s", verbOf(cmd), f.Name)
			}
		})
	}
	walk(root)
}

func uses(lines []string, verb string) []string {
	var out []string
	for _, line := range lines {
		if rest, found := strings.CutPrefix(line, verb); found && (rest == "" || strings.ContainsAny(rest[:1], " \n&")) {
			out = append(out, rest)
		}
	}
	return out
}

func flagged(lines []string, f *pflag.Flag) bool {
	pattern := ` --` + f.Name + `\b`
	if f.Shorthand != "" {
		pattern += `| -[a-z]*` + f.Shorthand + `[a-z]*\b`
	}
	word := regexp.MustCompile(pattern)
	for _, line := range lines {
		if word.MatchString(line) {
			return true
		}
	}
	return false
}
