package e2e

import (
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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

// TestLaunchdAgent reads what launchd of macOS would: the daemon in the foreground, again
// when it fails, and without its virtual machines.
func TestLaunchdAgent(t *testing.T) {
	text, err := exec.Command("../../scripts/launchd-agent", "/opt/a & b", "/Users/me").Output()
	if err != nil {
		t.Fatal(err)
	}
	var plist struct {
		Keys    []string `xml:"dict>key"`
		Strings []string `xml:"dict>string"`
		Program []string `xml:"dict>array>string"`
		True    []string `xml:"dict>true"`
	}
	if err := xml.Unmarshal(text, &plist); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if !slices.Equal(plist.Program, []string{"/opt/a & b/bin/aegisd"}) {
		t.Errorf("it starts %q", plist.Program)
	}
	for _, key := range []string{"Label", "RunAtLoad", "KeepAlive", "AbandonProcessGroup"} {
		if !slices.Contains(plist.Keys, key) {
			t.Errorf("it lacks %s:\n%s", key, text)
		}
	}
	if !slices.Contains(plist.Strings, "/Users/me/.aegis/aegisd.log") || len(plist.True) != 2 {
		t.Errorf("%q, %d switches", plist.Strings, len(plist.True))
	}
}
