package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"aegis/client"
)

// TestSystem prunes beside an instance that runs, and starts it again afterwards.
func TestSystem(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	own := h.ownCache()
	h.write(filepath.Join(h.dir, "workspaces", "site", "index.html"), "page of web\n")
	url := h.serve("web", "--disk", "128M", "--workspace", "site")
	h.ok("run", "--disk", "192M", "--", "true")
	left := filepath.Join(h.dir, "instances", "inst-left")
	h.write(filepath.Join(left, "disk.ext4"), "of nobody")
	long := time.Now().Add(-48 * time.Hour)
	if err := os.Chtimes(left, long, long); err != nil {
		t.Fatal(err)
	}

	var use client.DiskUse
	if err := json.Unmarshal([]byte(h.ok("system", "df", "--json")), &use); err != nil {
		t.Fatal(err)
	}
	for _, row := range use.Rows {
		least := map[string]int64{"images": 50 << 20, "kernels": 5 << 20, "instance disks": 64 << 10, "logs": 1, "named workspaces": 1, "run directories": 1}[row.Name]
		if row.Size < least || row.Partial {
			t.Errorf("%+v", row)
		}
	}
	if !use.CacheShared || use.Reclaimable == 0 || len(use.Rows) != 12 {
		t.Errorf("%+v", use)
	}

	blank := func(mib int) string {
		return filepath.Join(own, "blank", fmt.Sprintf("ext4-1-%d.img", mib<<20))
	}
	h.prunes(left)
	h.prunes(blank(192), "--all")
	h.prunes("", "--all")
	if _, err := os.Stat(blank(128)); err != nil {
		t.Error(err)
	}
	h.page(url, "page of web\n")
	h.ok("instance", "restart", "web")
	h.page(url, "page of web\n")
	h.ok("run", "--disk", "192M", "--", "true")
}

// prunes wants a prune to remove this alone, or nothing.
func (h *home) prunes(path string, flags ...string) {
	h.t.Helper()
	var gone client.Pruned
	if err := json.Unmarshal([]byte(h.ok(append([]string{"system", "prune", "--json"}, flags...)...)), &gone); err != nil {
		h.t.Fatal(err)
	}
	switch {
	case path == "" && len(gone.Removed) == 0:
	case path == "" || len(gone.Removed) != 1 || gone.Removed[0].Path != path || gone.Freed == 0:
		h.t.Errorf("prune %q removed %+v, want %q", flags, gone, path)
	default:
		if _, err := os.Lstat(path); err == nil {
			h.t.Errorf("%s is there", path)
		}
	}
}
