package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// templates is how many templates a backend makes for one kind of VM.
func templates(backend string) int {
	if backend == "libkrun" {
		return 0
	}
	return 1
}

// TestBootedPool starts from VMs that were booted ahead, where there are no templates: with
// new disks only.
func TestBootedPool(t *testing.T) {
	if templates(os.Getenv("AEGIS_BACKEND")) > 0 {
		t.Skip("pending: this backend has templates (make lab BACKEND=libkrun runs it)")
	}
	h := newHome(t)
	h.stock(1)
	if r := h.run(secretValue, "secret", "set", "API_KEY"); r.code != 0 {
		t.Fatalf("secret set: %+v", r)
	}
	seen := map[string]string{}
	h.ok(words("instance start --name warmer -- true")...)
	h.stocked(0, 1)
	url := h.everything("first-of-all")
	h.origin("first-of-all", "pool")
	h.whole("first-of-all", url)
	h.own(seen, "first-of-all")
	h.stocked(0, 1)
	h.clone(seen, "a run", "pool")
	h.ok("exec", "first-of-all", "--", "sh", "-c", "echo kept > /root/kept")
	h.ok(words("instance stop first-of-all")...)
	h.stocked(0, 1)
	h.ok(words("instance start --name first-of-all")...)
	h.origin("first-of-all", "cold")
	if got := h.ok(words("exec first-of-all -- cat /root/kept")...); got != "kept\n" {
		t.Errorf("the disk: %q", got)
	}
	h.absent(secretValue)
	if log, err := os.ReadFile(filepath.Join(h.dir, "aegisd.log")); err != nil || strings.Contains(string(log), "fell back") {
		t.Errorf("starts fell back: %v", err)
	}
	h.ok(words("instance delete --force first-of-all warmer")...)
}
