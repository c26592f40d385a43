package monitor

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"aegis/internal/vmm"
)

// Life is what every backend's VM has of its process: a pause stops it, Close kills it,
// and it says how it ended. A VM embeds it, and calls Finish once when all of the process
// is over. Lock order: pausing, then mu.
type Life struct {
	Process *Process
	done    chan struct{}

	pausing sync.Mutex // one Pause or Resume at a time

	mu     sync.Mutex
	paused bool
	closed bool
	err    error // set before done is closed
}

// NewLife is that of a process that was started.
func NewLife(p *Process) *Life { return &Life{Process: p, done: make(chan struct{})} }

// ErrPaused refuses what a stopped process can't answer.
var ErrPaused = errors.New("the VM is paused")

// Pause implements vmm.VM by stopping the process: no bytes are lost, since they wait in
// sockets.
func (l *Life) Pause(ctx context.Context) error {
	return l.signal("pause", true, func() error { return l.Process.Stop(ctx) })
}

// Resume implements vmm.VM.
func (l *Life) Resume(context.Context) error { return l.signal("resume", false, l.Process.Cont) }

func (l *Life) signal(what string, paused bool, send func() error) error {
	l.pausing.Lock()
	defer l.pausing.Unlock()
	if err := l.Ended(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if err := send(); err != nil {
		if ended := l.Ended(); ended != nil {
			err = ended
		}
		return fmt.Errorf("%s: %w", what, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paused = paused
	return nil
}

// Ended is nil while the process may run.
func (l *Life) Ended() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return vmm.ErrClosed
	}
	select {
	case <-l.Process.Exited:
		return vmm.ErrEnded
	default:
		return nil
	}
}

// Running is nil while the process runs and is not paused.
func (l *Life) Running() error {
	if err := l.Ended(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.paused {
		return ErrPaused
	}
	return nil
}

// PID implements vmm.VM.
func (l *Life) PID() int { return l.Process.PID }

// Done implements vmm.VM.
func (l *Life) Done() <-chan struct{} { return l.done }

// Err implements vmm.VM.
func (l *Life) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Expect says that the process's end is the host's doing from here on, as after Close.
func (l *Life) Expect() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
}

// Finish closes Done, when the process and all that it held are gone. The cause is nil
// where the guest ended the VM; it does not count after Expect or Close.
func (l *Life) Finish(cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err = cause; l.closed {
		l.err = vmm.ErrClosed
	}
	close(l.done)
}

// Close implements vmm.VM. SIGKILL ends a stopped process as well.
func (l *Life) Close() error {
	l.Expect()
	l.Process.Kill()
	<-l.done
	return nil
}
