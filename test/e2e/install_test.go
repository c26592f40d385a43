package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestInstall installs into an empty place and works from there alone.
func TestInstall(t *testing.T) {
	h := newHome(t)
	prefix := filepath.Join(t.TempDir(), "a prefix")
	if out, err := exec.Command("../../scripts/install", bin, prefix).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range []string{"share/man/man1/aegis.1", "share/man/man1/aegis-instance-start.1",
		"share/bash-completion/completions/aegis", "share/zsh/site-functions/_aegis", "share/fish/vendor_completions.d/aegis.fish"} {
		if text, err := os.ReadFile(filepath.Join(prefix, name)); err != nil || !strings.Contains(string(text), "aegis") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if out, err := exec.Command("bash", "-n", filepath.Join(prefix, "share/bash-completion/completions/aegis")).CombinedOutput(); err != nil {
		t.Errorf("bash: %v\n%s", err, out)
	}
	cmd := exec.Command(filepath.Join(prefix, "bin/aegis"), "status")
	cmd.Env = h.env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if d := h.one("aegisd"); !strings.HasPrefix(d.args, prefix) {
		t.Errorf("it started %q", d.args)
	}
}
