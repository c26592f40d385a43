package paths

import (
	"fmt"
	"os"
	"syscall"
)

// private checks that dir is ours and nobody else's, and takes away what group
// and others may do there.
func private(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Getuid() {
		return fmt.Errorf("it belongs to user %d and you are user %d", st.Uid, os.Getuid())
	}
	if info.Mode().Perm()&0o077 != 0 {
		return os.Chmod(dir, 0o700)
	}
	return nil
}
