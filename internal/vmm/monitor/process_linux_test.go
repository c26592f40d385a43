package monitor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"aegis/internal/vmm"
)

// envOwner makes the test binary play a shim that owns a stopped monitor.
const envOwner = "AEGIS_TEST_OWNER"

func TestMain(m *testing.M) {
	if os.Getenv(envOwner) != "" {
		p, err := Start(sleeper())
		if err == nil {
			err = p.Stop(context.Background())
		}
		fmt.Println(p.PID, err)
		select {}
	}
	os.Exit(m.Run())
}

// sleeper stands for a monitor.
func sleeper() *exec.Cmd { return exec.Command("sleep", "600") }

func TestMonitorDiesWithItsOwner(t *testing.T) {
	owner := exec.Command(os.Args[0])
	owner.Env = append(os.Environ(), envOwner+"=1")
	out, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	defer owner.Process.Kill()
	line, err := bufio.NewReader(out).ReadString('\n')
	var pid int
	if _, serr := fmt.Sscan(line, &pid); err != nil || serr != nil || !strings.HasSuffix(line, "<nil>\n") {
		t.Fatalf("the owner says %q, %v", line, err)
	}
	defer syscall.Kill(pid, syscall.SIGKILL)
	owner.Process.Kill()
	owner.Wait()
	for end := time.Now().Add(10 * time.Second); running(pid); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the stopped monitor outlives its owner")
		}
	}
}

// running is false for a zombie, which is its new parent's to reap.
func running(pid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	return err == nil && !strings.Contains(string(status), "\nState:\tZ") && !strings.Contains(string(status), "\nState:\tX")
}

func TestMonitorOutlivesTheCallersThread(t *testing.T) {
	started := make(chan *Process)
	release := make(chan struct{})
	defer close(release)
	var thread int
	var caller func()
	caller = func() {
		runtime.LockOSThread() // the thread ends with this goroutine, unless it is the first one
		if thread = syscall.Gettid(); thread == os.Getpid() {
			go caller()
			<-release
			return
		}
		p, err := Start(sleeper())
		if err != nil {
			t.Error(err)
		}
		started <- p
	}
	go caller()
	p := <-started
	defer p.Kill()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", thread)); err != nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the caller's thread does not end")
		}
	}
	if !running(p.PID) {
		t.Error("the monitor died with the thread of Boot's caller")
	}
}

func TestStopIsObserved(t *testing.T) {
	p, err := Start(sleeper())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Kill()
	for range 50 {
		for range 2 { // idempotent
			if err := p.Stop(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if stopped, err := p.stopped(); !stopped || err != nil {
			t.Fatalf("after stop: %v, %v", stopped, err)
		}
		if err := p.Cont(); err != nil {
			t.Fatal(err)
		}
		if stopped, err := p.stopped(); stopped || err != nil {
			t.Fatalf("after cont: %v, %v", stopped, err)
		}
	}
	p.Kill()
	<-p.Exited
	for what, err := range map[string]error{"stop": p.Stop(t.Context()), "cont": p.Cont()} {
		if !errors.Is(err, vmm.ErrEnded) {
			t.Errorf("%s of an ended process says %v", what, err)
		}
	}
}
