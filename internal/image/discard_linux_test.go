package image

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// TestDiscardStopsAtMounts holds that removing what a killed build left touches nothing
// of the host's that is mounted there.
func TestDiscardStopsAtMounts(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("pending: mounting needs root")
	}
	stage, hosts := t.TempDir(), t.TempDir()
	inside := filepath.Join(stage, stagePrefix+"dead", "with space", "shm")
	if err := os.MkdirAll(inside, 0o700); err != nil {
		t.Fatal(err)
	}
	precious := filepath.Join(hosts, "precious")
	os.WriteFile(precious, []byte("x"), 0o600)
	failed := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its mounts
		err := unix.Unshare(unix.CLONE_NEWNS)
		if err == nil {
			err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		if err == nil {
			err = unix.Mount(hosts, inside, "", unix.MS_BIND, "")
		}
		if err == nil {
			err = sweep(stage)
		}
		failed <- err
	}()
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(precious); err != nil {
		t.Errorf("what was mounted has gone: %v", err)
	}
	if left, _ := os.ReadDir(stage); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// TestBuilderMountsApart holds that what a builder mounts is nowhere but with it, so that
// it goes with it, also when it is killed.
func TestBuilderMountsApart(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("pending: mounting needs root")
	}
	dir := t.TempDir()
	cmd := exec.Command("sh", "-euc", `mount -t tmpfs tmp "$1"; touch "$1/inside"; echo mounted; kill -9 $$`, "sh", dir)
	cmd.SysProcAttr = apart(os.Getuid())
	if out, err := cmd.CombinedOutput(); string(out) != "mounted\n" {
		t.Fatalf("%s %v", out, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || len(mountsBelow(string(mounts), filepath.Dir(dir))) != 0 {
		t.Errorf("mounts are left: %v", err)
	}
}

func TestMountsBelow(t *testing.T) {
	text := "1 2 0:1 / /s/a rw - x x rw\n2 3 0:1 / /s/a/b\\040c rw - x x rw\n3 4 0:1 / /s/ab/c rw - x x rw\nshort\n"
	if got := mountsBelow(text, "/s/a"); !slices.Equal(got, []string{"/s/a/b c"}) {
		t.Errorf("%q", got)
	}
}
