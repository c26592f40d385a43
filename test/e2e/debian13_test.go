package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// cannot is the exit status with which scripts/debian13 says that it can't be done here.
const cannot = 77

// upOnDebian13 starts the home's daemon where /usr is Debian 13's, with QEMU 10, or says
// why that can't be done. Commands find it by its socket, and need none of that.
func (h *home) upOnDebian13() (why string) {
	h.t.Helper()
	script, err := filepath.Abs("../../scripts/debian13")
	if err != nil {
		h.t.Fatal(err)
	}
	h.within = []string{script}
	r := h.run("", "up")
	h.within = nil
	switch r.code {
	case 0:
		return ""
	case cannot:
		return strings.TrimSpace(r.stderr)
	}
	h.t.Fatalf("aegis up: %+v", r)
	return ""
}

// TestDebian13 starts with QEMU 10 what the other tests start with this machine's: by a
// cold boot and from the pool, whose VMs are restored from a template.
func TestDebian13(t *testing.T) {
	h := newHome(t)
	h.stock(1)
	if why := h.upOnDebian13(); why != "" {
		t.Skip(why)
	}
	if r := h.run(secretValue, "secret", "set", "API_KEY"); r.code != 0 {
		t.Fatalf("secret set: %+v", r)
	}
	seen := map[string]string{}
	for _, origin := range []string{"cold", "pool"} {
		url := h.everything(origin)
		h.origin(origin, origin)
		h.whole(origin, url)
		h.own(seen, origin)
		h.ok("instance", "pause", origin)
		h.page(url, "marmalade of "+origin+"\n")
		h.timely(origin)
		h.stocked(1, 1)
		h.ok("instance", "delete", "--force", origin)
	}
	manifests, _ := filepath.Glob(filepath.Join(h.dir, "templates", "*", "qemu.json"))
	for _, path := range manifests {
		if text, err := os.ReadFile(path); err != nil || !strings.Contains(string(text), `"major":10`) {
			t.Errorf("the template is not QEMU 10's: %s %v", text, err)
		}
	}
	if len(manifests) != 1 {
		t.Errorf("templates: %v", manifests)
	}
}
