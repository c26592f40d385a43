package shim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-yamux/v5"

	"aegis/internal/fault"
	"aegis/internal/instance"
	"aegis/internal/vmm"
	"aegis/internal/vmm/fake"
	"aegis/internal/wire"
)

// wantFailed is a start that failed with the boot, for the same reason that the
// exit keeps.
func wantFailed(t *testing.T, w *world, why string) {
	t.Helper()
	_, err := w.start(false)
	exit := w.exit()
	if exit.Reason != instance.BootFailed || !strings.Contains(exit.Error, why) {
		t.Errorf("exit %+v, want %q", exit, why)
	}
	if err == nil || !strings.Contains(err.Error(), why) {
		t.Errorf("start says %v, want %q", err, why)
	}
}

func TestBootFails(t *testing.T) {
	w := beginWith(t, &fake.Backend{BootErr: errors.New("no such accelerator")}, nil)
	wantFailed(t, w, "no such accelerator")
}

func TestMissingDisk(t *testing.T) {
	w := begin(t, script{}, func(l *instance.Launch) { l.Assignment.Disk += "-not" })
	wantFailed(t, w, "no such file")
}

func TestHelloNeverComes(t *testing.T) {
	silent := script{boot: func(ctx context.Context, _ net.Conn, console io.Writer) error {
		fmt.Fprint(console, "waiting for \x1b[31mroot\n")
		<-ctx.Done()
		return ctx.Err()
	}}
	w := begin(t, silent, func(l *instance.Launch) { l.BootTimeout = 200 * time.Millisecond })
	wantFailed(t, w, "the guest did not answer within 200ms; the guest's console ends with: waiting for [31mroot")
}

func TestGuestEndsBeforeItsHello(t *testing.T) {
	for _, c := range []struct {
		err error
		why string
	}{{nil, "ended"}, {errors.New("qemu: no lock on the disk"), "no lock on the disk"}} {
		w := begin(t, script{boot: func(context.Context, net.Conn, io.Writer) error { return c.err }}, nil)
		wantFailed(t, w, c.why)
	}
}

func TestStartIsRefused(t *testing.T) {
	refuse := func(_ *scripted, s *yamux.Stream, _ wire.Request) {
		tellHost(s, wire.Reply{Error: &wire.Error{Kind: fault.CommandNotFound, Why: `"x" is not in the instance`}})
	}
	w := begin(t, script{on: map[wire.Op]operation{wire.OpStart: refuse}}, nil)
	_, err := w.start(false)
	if !fault.Is(err, fault.CommandNotFound) {
		t.Errorf("%v", err)
	}
	if exit := w.exit(); exit.Reason != instance.BootFailed || !strings.Contains(exit.Error, `"x" is not in the instance`) {
		t.Errorf("%+v", exit)
	}
}

// A guest that says hello and then nothing must not hold a start for ever.
func TestStartIsNeverAnswered(t *testing.T) {
	hang := func(g *scripted, _ *yamux.Stream, _ wire.Request) { <-g.term }
	w := begin(t, script{on: map[wire.Op]operation{wire.OpStart: hang}},
		func(l *instance.Launch) { l.BootTimeout = 300 * time.Millisecond })
	_, err := w.start(false)
	if !fault.Is(err, fault.Timeout) {
		t.Errorf("%v", err)
	}
	if exit := w.exit(); exit.Reason != instance.BootFailed {
		t.Errorf("%+v", exit)
	}
}

func TestOneStart(t *testing.T) {
	w := begin(t, script{}, nil)
	w.mustStart(false)
	if _, err := w.start(false); !fault.Is(err, fault.WrongState) {
		t.Errorf("a second start: %v", err)
	}
	if isDone(w.ended) {
		t.Error("it ended the run")
	}
}

// stuck is a backend whose Boot takes until its ctx ends.
type stuck struct {
	fake.Backend
	entered chan struct{}
}

func (s *stuck) Boot(ctx context.Context, _ vmm.Config) (vmm.VM, error) {
	close(s.entered)
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestKillDuringBoot(t *testing.T) {
	backend := &stuck{entered: make(chan struct{})}
	w := beginWith(t, backend, nil)
	<-backend.entered
	wantKilled(t, w)
}

func TestKillBeforeHello(t *testing.T) {
	entered := make(chan struct{})
	w := begin(t, script{boot: func(ctx context.Context, _ net.Conn, _ io.Writer) error {
		close(entered)
		<-ctx.Done()
		return ctx.Err()
	}}, nil)
	<-entered
	wantKilled(t, w)
}

func wantKilled(t *testing.T, w *world) {
	t.Helper()
	began := time.Now()
	if err := w.client.Kill(t.Context(), instance.StoppedBy); err != nil {
		t.Fatal(err)
	}
	if exit := w.exit(); exit.Reason != instance.StoppedBy || exit.Error != "" {
		t.Errorf("%+v", exit)
	}
	if took := time.Since(began); took > connectTimeout {
		t.Errorf("it took %s", took)
	}
}

// A boot may have failed, and its shim be gone, before a start is asked for.
func TestStartAfterAFailedBoot(t *testing.T) {
	w := beginWith(t, &fake.Backend{BootErr: errors.New("no such accelerator")}, nil)
	w.await(w.over, "the end of the run")
	wantFailed(t, w, "no such accelerator")
}
