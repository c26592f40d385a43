package engine

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A guest may leave directories that their owner can neither read nor write.
func TestEraseWhatIsProtected(t *testing.T) {
	dir, err := os.MkdirTemp("", "erase")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.Mkdir(outside, 0o500); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		mode os.FileMode
	}{{"read-only", 0o555}, {"closed", 0}} {
		below := filepath.Join(dir, c.name, "below")
		if err := os.MkdirAll(below, 0o755); err != nil {
			t.Fatal(err)
		}
		os.WriteFile(filepath.Join(below, "file"), nil, 0o600)
		os.Symlink(outside, filepath.Join(below, "link"))
		os.Chmod(below, c.mode)
		os.Chmod(filepath.Dir(below), c.mode)
	}
	erased := make(chan error)
	go func() { erased <- asOrdinary(dir) }()
	if err := <-erased; err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", dir, err)
	}
	if info, err := os.Stat(outside); err != nil || info.Mode().Perm() != 0o500 {
		t.Errorf("what a link led to: %v, %v", info, err)
	}
}

// asOrdinary erases dir as a user whom modes stop, on a thread that ends with that.
func asOrdinary(dir string) error {
	const nobody = 65534
	if os.Getuid() != 0 {
		return erase(dir)
	}
	parent := filepath.Join(filepath.Dir(dir), filepath.Base(dir)+".of")
	if err := os.Mkdir(parent, 0o755); err != nil {
		return err
	}
	defer os.RemoveAll(parent)
	moved := filepath.Join(parent, "dir")
	if err := os.Rename(dir, moved); err != nil {
		return err
	}
	if err := filepath.Walk(parent, func(path string, _ os.FileInfo, _ error) error { return os.Lchown(path, nobody, nobody) }); err != nil {
		return err
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked
		if _, _, errno := syscall.RawSyscall(unix.SYS_SETRESUID, nobody, nobody, nobody); errno != 0 {
			done <- errno
			return
		}
		done <- erase(moved)
	}()
	return <-done
}
