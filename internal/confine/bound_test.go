//go:build linux

package confine

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// deathWord starts a program that prints which signal it gets when its owner ends.
const deathWord = "death"

// deathSignal is that of the process's first thread, where initialization runs.
var deathSignal = func() (signal int32) {
	unix.Prctl(unix.PR_GET_PDEATHSIG, uintptr(unsafe.Pointer(&signal)), 0, 0, 0)
	return signal
}()

func deathMain() error {
	fmt.Println(deathSignal)
	return nil
}

// elsewhereFirst has what follows run on another thread than the process's first, as a
// busy machine does now and then.
func elsewhereFirst() {
	for range 1000 {
		first := make(chan bool)
		go func() {
			runtime.LockOSThread()
			is := unix.Gettid() == unix.Getpid()
			first <- is
			if is {
				select {} // it keeps that thread
			}
			runtime.UnlockOSThread()
		}()
		if <-first {
			return
		}
	}
}

// TestMonitorEndsWithItsOwner holds that the signal of a command is that of the program
// which its stage becomes, whatever thread becomes it.
func TestMonitorEndsWithItsOwner(t *testing.T) {
	self := worldProgram(t)
	for _, rung := range Rungs[:3] {
		t.Run(string(rung), func(t *testing.T) {
			reached(t, rung, t.TempDir())
			runtime.LockOSThread() // the one whose end would be the owner's
			defer runtime.UnlockOSThread()
			cmd := exec.Command(self, deathWord)
			cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
			done, err := Stage(cmd, Stay{Rung: rung, Needs: Program(self)})
			if err != nil {
				t.Fatal(err)
			}
			defer done()
			if out, err := cmd.CombinedOutput(); err != nil || string(out) != "9\n" {
				t.Errorf("%q, %v", out, err)
			}
		})
	}
}

// TestNoMonitorWithoutAnOwner holds that nothing is started whose owner ended before it
// could have sent its signal.
func TestNoMonitorWithoutAnOwner(t *testing.T) {
	ended := exec.Command("true")
	if err := ended.Start(); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.PidfdOpen(ended.Process.Pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	owner := os.NewFile(uintptr(fd), "owner")
	defer owner.Close()
	if err := ended.Wait(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe", stageWord, fmt.Sprintf(`{"Rung":"off","owner":%d}`, firstFile), "/bin/true")
	cmd.ExtraFiles = []*os.File{owner}
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "the owner has ended") {
		t.Errorf("%s %v", out, err)
	}
}
