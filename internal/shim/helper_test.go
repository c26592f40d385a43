//go:build linux

package shim

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-yamux/v5"

	"aegis/internal/instance"
	"aegis/internal/vmm"
	"aegis/internal/wire"
)

func withWorkspace(t *testing.T) func(*instance.Launch) {
	dir := t.TempDir()
	return func(l *instance.Launch) { l.Assignment.Workspace = &instance.Workspace{Path: dir} }
}

func TestHelperDies(t *testing.T) {
	w := begin(t, script{}, withWorkspace(t))
	w.mustStart(false)
	if err := w.helper.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if exit := w.exit(); exit.Reason != instance.VMDied || !strings.Contains(exit.Error, "the workspace's server ended: signal: killed") {
		t.Errorf("%+v", exit)
	}
}

// The end of a VM closes the helper's channel; the VM is to blame, not the helper.
func TestHelperIsNotBlamed(t *testing.T) {
	started := make(chan struct{})
	w := begin(t, on(wire.OpStart, func(g *scripted, s *yamux.Stream, _ wire.Request) {
		tellHost(s, wire.Reply{})
		<-started
		g.off <- errors.New("killed by signal 9")
	}), withWorkspace(t))
	w.mustStart(false)
	close(started)
	if exit := w.exit(); exit.Error != "killed by signal 9" {
		t.Errorf("%+v", exit)
	}
}

func TestHelperEndsWithTheRun(t *testing.T) {
	w := begin(t, script{}, withWorkspace(t))
	w.mustStart(false)
	pid := w.helper.cmd.Process.Pid
	if err := w.client.Stop(t.Context(), time.Second, instance.StoppedBy); err != nil {
		t.Fatal(err)
	}
	w.exit()
	if err := w.helper.cmd.Process.Signal(os.Interrupt); !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("helper %d lives: %v", pid, err)
	}
}

func TestMissingWorkspace(t *testing.T) {
	w := begin(t, script{}, func(l *instance.Launch) { l.Assignment.Workspace = &instance.Workspace{Path: "/does/not/exist"} })
	wantFailed(t, w, "no such file")
}

// dying is a VM whose end is not seen yet.
type dying struct {
	vmm.VM
	done chan struct{}
}

func (d *dying) Done() <-chan struct{} { return d.done }
func (d *dying) Close() error          { return nil }

func TestHelperSeesTheEndFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		vm := &dying{done: make(chan struct{})}
		r := &run{vm: vm}
		h := &helper{what: "the workspace's server", done: make(chan struct{}), err: errors.New("it ended by itself")}
		close(h.done)
		go r.watchHelper(h)
		time.Sleep(lastMoment / 2)
		close(vm.done)
		synctest.Wait()
		if r.failure != "" {
			t.Error(r.failure)
		}
		vm.done = make(chan struct{})
		r.watchHelper(h)
		if r.failure == "" {
			t.Error("a helper that ended alone is no failure")
		}
	})
}

// Secrets pass through these processes and stay out of files.
func TestNoCoreDumps(t *testing.T) {
	w := begin(t, script{}, withWorkspace(t))
	w.mustStart(false)
	file := fmt.Sprintf("/proc/%d/limits", w.helper.cmd.Process.Pid)
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, line, _ := strings.Cut(string(body), "Max core file size")
		if line, _, _ = strings.Cut(line, "\n"); strings.Join(strings.Fields(line), " ") == "1 1 bytes" || // and 0 where we have no more
			strings.Join(strings.Fields(line), " ") == "0 0 bytes" {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("core dumps of %s", line)
		}
	}
}
