package cgroup

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"aegis/internal/instance"
)

// The words with which this program is a process in a group.
const (
	beginWord  = "begin"  // ends
	eatWord    = "eat"    // takes 512 MiB
	threadWord = "thread" // starts 200 threads
	stayWord   = "stay"   // stays
)

func TestMain(m *testing.M) {
	if len(os.Args) < 2 {
		os.Exit(m.Run())
	}
	switch os.Args[1] {
	case beginWord:
		os.Exit(0)
	case eatWord:
		var kept [][]byte
		for range 512 {
			kept = append(kept, make([]byte, 1<<20))
			for i := 0; i < 1<<20; i += 4096 {
				kept[len(kept)-1][i] = 1
			}
		}
		fmt.Println(len(kept))
	case threadWord:
		for range 200 {
			up := make(chan bool)
			go func() {
				runtime.LockOSThread()
				close(up)
				select {}
			}()
			<-up
		}
		fmt.Println("started")
	case stayWord:
		fmt.Println("here")
		time.Sleep(time.Minute) // it is killed before
	default:
		os.Exit(m.Run())
	}
	os.Exit(0)
}

// in is this program in a group, with a word.
func in(g *Group, word string) (*exec.Cmd, error) {
	cmd := exec.Command("/proc/self/exe", word)
	cmd.Env = []string{}
	return cmd, g.Enter(cmd)
}

// TestKernel holds that the kernel does what the groups say, where they are ours.
func TestKernel(t *testing.T) {
	tree := Find(t.TempDir(), func(g *Group) error {
		cmd, err := in(g, beginWord)
		if err != nil {
			return err
		}
		return cmd.Run()
	})
	if len(tree.Controllers) < len(Controllers) {
		t.Skipf("pending: %s", tree.Cause)
	}
	limits := instance.Limits{Memory: 64 << 20, PIDs: 40, CPUWeight: 300}
	g, err := tree.Make("run-a", limits)
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if got := tree.Limits(g.Dir); got != limits {
		t.Errorf("the kernel says %+v", got)
	}
	beside, err := in(g, stayWord)
	if err != nil {
		t.Fatal(err)
	}
	if err := beside.Start(); err != nil {
		t.Fatal(err)
	}
	g.Close()
	if out, err := ends(g, eatWord); !killed(err) || len(out) > 0 {
		t.Errorf("memory: %q %v", out, err)
	}
	if err := beside.Wait(); !killed(err) {
		t.Errorf("who shared its memory: %v", err)
	}
	if out, err := ends(g, threadWord); err == nil || strings.Contains(out, "started\n") {
		t.Errorf("threads: %q %v", out, err)
	}
	stays, err := in(g, stayWord)
	if err != nil {
		t.Fatal(err)
	}
	said, err := stays.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := stays.Start(); err != nil {
		t.Fatal(err)
	}
	said.Read(make([]byte, 8))
	if err := tree.Remove(g.Dir); err != nil {
		t.Error(err)
	}
	if err := stays.Wait(); !killed(err) {
		t.Errorf("who stayed: %v", err)
	}
	tree.Close()
	if _, err := os.Stat(tree.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is left: %v", tree.Dir, err)
	}
}

func ends(g *Group, word string) (string, error) {
	cmd, err := in(g, word)
	if err != nil {
		return "", err
	}
	defer g.Close()
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// killed is whether a process was ended by SIGKILL.
func killed(err error) bool {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}
