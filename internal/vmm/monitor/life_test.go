package monitor

import (
	"errors"
	"os/exec"
	"testing"

	"aegis/internal/vmm"
)

// lives starts a process that sleeps, and finishes its life with that cause.
func lives(t *testing.T, cause error, args ...string) *Life {
	t.Helper()
	p, err := Start(exec.Command(args[0], args[1:]...))
	if err != nil {
		t.Fatal(err)
	}
	l := NewLife(p)
	go func() {
		<-p.Exited
		l.Finish(cause)
	}()
	t.Cleanup(func() { l.Close() })
	return l
}

func TestLife(t *testing.T) {
	l := lives(t, nil, "sleep", "60")
	for range 2 {
		if err := l.Pause(t.Context()); err != nil || !errors.Is(l.Running(), ErrPaused) || l.Ended() != nil {
			t.Errorf("paused: %v, running %v, ended %v", err, l.Running(), l.Ended())
		}
	}
	for range 2 {
		if err := l.Resume(t.Context()); err != nil || l.Running() != nil {
			t.Errorf("resumed: %v, running %v", err, l.Running())
		}
	}
	for range 2 {
		if err := l.Close(); err != nil || !errors.Is(l.Err(), vmm.ErrClosed) {
			t.Errorf("closed: %v, %v", err, l.Err())
		}
	}
	if err := l.Pause(t.Context()); !errors.Is(err, vmm.ErrClosed) {
		t.Errorf("pause after that: %v", err)
	}
}

// TestLifeEnds holds that the cause counts unless the end was expected.
func TestLifeEnds(t *testing.T) {
	cause := errors.New("a cause")
	l := lives(t, cause, "true")
	<-l.Done()
	if err := l.Resume(t.Context()); l.Err() != cause || !errors.Is(err, vmm.ErrEnded) || !errors.Is(l.Running(), vmm.ErrEnded) {
		t.Errorf("%v, resume %v, running %v", l.Err(), err, l.Running())
	}
	l = lives(t, cause, "sleep", "0.1")
	l.Expect()
	<-l.Done()
	if !errors.Is(l.Err(), vmm.ErrClosed) {
		t.Errorf("an end that was expected: %v", l.Err())
	}
}
