package confine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestProfile holds what a profile says: nothing but what is needed, the refusals before
// the permissions, and no path that could end its own quotes.
func TestProfile(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "bin", "vmm")
	if err := os.MkdirAll(filepath.Dir(program), 0o700); err != nil {
		t.Fatal(err)
	}
	odd := filepath.Join(dir, `a")(allow default)("`)
	text := profileOf(program, Stay{Rung: Sandbox, Serves: true, Needs: []Need{{"/usr/share/vmm", Read}, {"/dev/urandom", Device}}}, dir, []string{odd}).text()
	for _, want := range []string{
		"(version 1)\n(deny default)\n", "(deny network*)\n", "(deny process-fork)\n", "(deny file-write*)\n",
		`(allow process-exec (literal "` + program + `"))`, `(subpath "/usr/share/vmm")`,
		`(allow file-read* file-write-data file-ioctl (literal "/dev/urandom"))`,
		`(allow network-bind network-inbound (subpath "` + dir + `"))`,
		`(allow file-read* file-map-executable (subpath "` + strings.ReplaceAll(odd, `"`, `\"`) + `"))`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it lacks %s:\n%s", want, text)
		}
	}
	if last, first := strings.LastIndex(text, "(deny "), strings.Index(text, "(allow process-exec"); last > first {
		t.Errorf("a refusal comes behind what it was to leave:\n%s", text)
	}
	helper := profile{program: program}.text()
	for _, word := range []string{"network-bind", "file-write-data", "file-write* ("} {
		if strings.Contains(helper, word) {
			t.Errorf("a helper has %s:\n%s", word, helper)
		}
	}
}
