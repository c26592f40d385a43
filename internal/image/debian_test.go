package image

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// cached builds the default image for real, in AEGIS_CACHE where there is one.
func cached(t *testing.T) Image {
	t.Helper()
	if _, err := exec.LookPath("mmdebstrap"); err != nil {
		t.Skip("pending: mmdebstrap is not installed (scripts/deps installs it)")
	}
	cache := os.Getenv("AEGIS_CACHE")
	if cache == "" {
		t.Skip("pending: AEGIS_CACHE names no cache to build the default image in (make test does)")
	}
	img, err := Ensure(t.Context(), filepath.Join(cache, "images"), filepath.Join(cache, "stage"), "", func(_, msg string, done, total int64) {
		t.Logf("%s %d/%d", msg, done, total)
	})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// TestDefaultImage looks into the real image with debugfs, which needs no mount.
func TestDefaultImage(t *testing.T) {
	img := cached(t)
	debugfs, err := lookSbin("debugfs")
	if err != nil {
		t.Skip("pending: debugfs is not installed (package e2fsprogs)")
	}
	ask := func(request string) string {
		out, err := exec.CommandContext(t.Context(), debugfs, "-R", request, img.Path).Output()
		if err != nil {
			t.Fatalf("debugfs %s: %v", request, err)
		}
		return string(out)
	}
	for _, path := range []string{"/usr/bin/python", "/usr/bin/python3.11", "/bin/bash", "/usr/bin/curl",
		"/etc/ssl/certs/ca-certificates.crt", "/usr/bin/git", "/usr/bin/ps", "/usr/bin/sleep", "/dev", "/proc", "/sys", "/tmp",
		"/usr/lib/python3.11/http/__pycache__/server.cpython-311.pyc"} {
		if out := ask("stat " + path); !strings.Contains(out, "Inode:") {
			t.Errorf("%s is not in the image", path)
		}
	}
	for _, path := range []string{"/dev/null", "/etc/resolv.conf", "/etc/hostname", "/usr/share/man/man1"} {
		if out := ask("stat " + path); strings.Contains(out, "Inode:") {
			t.Errorf("%s is in the image", path)
		}
	}
	if err := Verify(context.Background(), img); err != nil {
		t.Error(err)
	}
}
