//go:build linux

package confine

import (
	"fmt"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// privateWord starts a process that is Private, and says so.
const privateWord = "private"

func privateMain() error {
	if err := Private(); err != nil {
		return err
	}
	dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	if err != nil {
		return err
	}
	var cores unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &cores); err != nil {
		return err
	}
	fmt.Println(dumpable, cores.Cur, cores.Max)
	return nil
}

// TestPrivate holds that a process's memory is in no core file, also where core_pattern
// names a program, and is nobody else's to read.
func TestPrivate(t *testing.T) {
	var cores unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &cores); err != nil || cores.Max == 0 {
		t.Skip("pending: there is no limit of core files to lower", err)
	}
	out, err := exec.Command("/proc/self/exe", privateWord).CombinedOutput()
	if err != nil || string(out) != "0 1 1\n" {
		t.Errorf("%s %v", out, err)
	}
}
