package image

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"aegis/internal/fault"
)

// home is a cache of a test.
type home struct{ dir, stage string }

func newHome(t *testing.T) home {
	d := t.TempDir()
	return home{filepath.Join(d, "images"), filepath.Join(d, "stage")}
}

// writes is a builder whose image is these bytes.
func writes(content string) builder {
	return func(_ context.Context, work string, _ func(string, int64, int64)) error {
		return os.WriteFile(filepath.Join(work, fileRoot), []byte(content), 0o600)
	}
}

func (h home) ensure(t *testing.T, b builder) (Image, error) {
	t.Helper()
	return ensure(t.Context(), h.dir, h.stage, 0, nil, defaultRecipe, b)
}

// must is ensure where it has to succeed.
func (h home) must(t *testing.T, b builder) Image {
	t.Helper()
	img, err := h.ensure(t, b)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// empty fails unless nothing is left in a directory.
func empty(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		t.Errorf("%s is left in %s", e.Name(), dir)
	}
}

func wantKind(t *testing.T, err error, kind fault.Kind) {
	t.Helper()
	if !fault.Is(err, kind) {
		t.Errorf("got %v, want a fault of kind %s", err, kind)
	}
}

func TestEnsureBuildsOnce(t *testing.T) {
	h := newHome(t)
	img := h.must(t, writes("root"))
	if img.Size != 4 || img.Names[0] != DefaultName || img.Type != "ext4" || img.Config.Cmd[0] != "sleep" {
		t.Errorf("%+v", img)
	}
	again := h.must(t, func(context.Context, string, func(string, int64, int64)) error {
		t.Error("built a second time")
		return nil
	})
	if again.Digest != img.Digest || again.Path != img.Path {
		t.Errorf("%+v, then %+v", img, again)
	}
	empty(t, h.stage)
}

func TestEnsureAtOnce(t *testing.T) {
	h := newHome(t)
	var built atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			_, err := ensure(t.Context(), h.dir, h.stage, 0, nil, defaultRecipe, func(ctx context.Context, work string, step func(string, int64, int64)) error {
				built.Add(1)
				return writes("root")(ctx, work, step)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := built.Load(); n != 1 {
		t.Errorf("built %d times", n)
	}
}

func TestEnsureWaitEndsWithContext(t *testing.T) {
	h := newHome(t)
	if err := os.MkdirAll(h.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	unlock, err := lock(t.Context(), h.dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithCancel(t.Context())
	_, err = ensure(ctx, h.dir, h.stage, 0, func(_, msg string, _, _ int64) { cancel() }, defaultRecipe, writes("root"))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestEnsureFailureLeavesNothing(t *testing.T) {
	h := newHome(t)
	_, err := h.ensure(t, func(_ context.Context, work string, _ func(string, int64, int64)) error {
		if err := os.WriteFile(filepath.Join(work, fileRoot), []byte("ro"), 0o600); err != nil {
			t.Error(err)
		}
		return syscall.ENOSPC
	})
	wantKind(t, err, fault.NoSpace)
	empty(t, h.dir)
	empty(t, h.stage)
}

func TestEnsureSweepsWhatAKilledOneLeft(t *testing.T) {
	h := newHome(t)
	left := filepath.Join(h.stage, stagePrefix+"123", "mmdebstrap.xyz")
	others := filepath.Join(h.stage, "kernel-1")
	for _, dir := range []string{left, others} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	h.must(t, writes("root"))
	if _, err := os.Stat(filepath.Dir(left)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there", filepath.Dir(left))
	}
	if _, err := os.Stat(others); err != nil {
		t.Errorf("what is not ours is gone: %v", err)
	}
}

func TestEnsureReplacesDamage(t *testing.T) {
	for name, content := range map[string]string{"cut": "ro", "altered": "r00t"} {
		t.Run(name, func(t *testing.T) {
			h := newHome(t)
			img := h.must(t, writes("root"))
			os.Chmod(img.Path, 0o600)
			if err := os.WriteFile(img.Path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			again := h.must(t, writes("root"))
			if err := Verify(t.Context(), again); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestEnsureRefusesAFullDisk(t *testing.T) {
	h := newHome(t)
	_, err := ensure(t.Context(), h.dir, h.stage, 1<<60, nil, defaultRecipe, func(context.Context, string, func(string, int64, int64)) error {
		t.Error("began to build")
		return nil
	})
	wantKind(t, err, fault.NoSpace)
}
