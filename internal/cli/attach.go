package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"aegis/client"
	"aegis/internal/undo"
)

// interrupted is the exit status after a second Ctrl-C: 128 + SIGINT, as a shell's.
const interrupted status = 130

// attachment joins this process's files, signals and terminal to a process's.
type attachment struct {
	client.IO
	again <-chan struct{} // closed by the second Ctrl-C
}

// attach takes over the signals, and with tty the terminal if there is one. The
// first SIGINT is the process's, the second ends it; undone, all is as before.
func (a *app) attach(tty bool, u *undo.Stack) (attachment, error) {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGWINCH)
	u.Add(func() { signal.Stop(signals) })
	done := make(chan struct{})
	u.Add(func() { close(done) })
	again, numbers, sizes := make(chan struct{}), make(chan int, 16), make(chan client.Size, 1)
	go forward(signals, done, again, numbers, func() {
		if size, ok := a.size(); ok && tty {
			replace(sizes, size)
		}
	})
	at := attachment{IO: client.IO{Stdin: input(a.in), Stdout: a.out, Stderr: a.err, Signals: numbers, Resizes: sizes}, again: again}
	if fd := int(a.in.Fd()); tty && term.IsTerminal(fd) {
		before, err := term.MakeRaw(fd)
		if err != nil {
			return at, fmt.Errorf("take the terminal: %w", err)
		}
		u.Add(func() { term.Restore(fd, before) })
	}
	return at, nil
}

// input is what a process reads; nil where that is known to be nothing.
func input(in *os.File) io.Reader {
	null, err := os.Stat(os.DevNull)
	if err != nil {
		return in
	}
	if info, err := in.Stat(); err == nil && os.SameFile(info, null) {
		return nil
	}
	return in
}

// forward sorts signals until done.
func forward(signals <-chan os.Signal, done <-chan struct{}, again chan<- struct{}, numbers chan<- int, resized func()) {
	interrupts := 0
	for {
		var s os.Signal
		select {
		case <-done:
			return
		case s = <-signals:
		}
		if s == syscall.SIGWINCH {
			resized()
			continue
		}
		if s == syscall.SIGINT {
			if interrupts++; interrupts == 2 {
				close(again)
			}
		}
		select {
		case numbers <- linuxSignal[s]:
		default: // the process has 16 of them waiting
		}
	}
}

// linuxSignal gives the guest's numbers (signal(7)), which need not be the host's.
var linuxSignal = map[os.Signal]int{syscall.SIGHUP: 1, syscall.SIGINT: 2, syscall.SIGQUIT: 3, syscall.SIGTERM: 15}

// replace puts the newest size in place of one that nobody has taken.
func replace(sizes chan client.Size, size client.Size) {
	select {
	case <-sizes:
	default:
	}
	sizes <- size
}

// size is that of the terminal on standard input.
func (a *app) size() (client.Size, bool) {
	cols, rows, err := term.GetSize(int(a.in.Fd()))
	if err != nil || rows < 0 || cols < 0 || rows > 0xffff || cols > 0xffff {
		return client.Size{}, false
	}
	return client.Size{Rows: uint16(rows), Cols: uint16(cols)}, true
}

// until runs f with a context that ends at the second Ctrl-C, and
// turns that end into its exit status.
func (at attachment) until(ctx context.Context, f func(context.Context) (client.ExitStatus, error)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-ctx.Done():
		case <-at.again:
			cancel()
		}
	}()
	exit, err := f(ctx)
	select {
	case <-at.again:
		return interrupted
	default:
	}
	if err != nil {
		return err
	}
	if exit.OOM {
		fmt.Fprintln(at.Stderr, "the guest's kernel ended the process: it was out of memory")
	}
	return status(exit.Status())
}
