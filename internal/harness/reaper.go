//go:build linux

package harness

import (
	"errors"
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"
)

// reaper is the only source of exits. PID 1 inherits every orphan, so it waits
// for any child, and nothing else in this package waits for one.
type reaper struct {
	wake chan os.Signal

	mu       sync.Mutex
	starting int                            // forks under way: an unknown exit may be theirs
	early    map[int]unix.WaitStatus        // those exits
	watched  map[int]chan<- unix.WaitStatus // by PID
}

// newReaper catches SIGCHLD from now on; run serves it.
func newReaper() *reaper {
	r := &reaper{
		wake:    make(chan os.Signal, 1),
		early:   map[int]unix.WaitStatus{},
		watched: map[int]chan<- unix.WaitStatus{},
	}
	signal.Notify(r.wake, unix.SIGCHLD)
	return r
}

// run reaps until stop.
func (r *reaper) run() {
	defer endOnPanic()
	for range r.wake {
		r.reap()
	}
}

// stop ends run.
func (r *reaper) stop() {
	signal.Stop(r.wake)
	close(r.wake)
}

// reap takes every exit that is there: signals merge, exits don't.
func (r *reaper) reap() {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		r.deliver(pid, status)
	}
}

func (r *reaper) deliver(pid int, status unix.WaitStatus) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if exit, ok := r.watched[pid]; ok {
		delete(r.watched, pid)
		exit <- status
		return
	}
	if r.starting > 0 {
		r.early[pid] = status
	}
}

// start forks by fork, which gives a PID, and returns where its exit will come:
// once, also if the process has already ended.
func (r *reaper) start(fork func() (int, error)) (int, <-chan unix.WaitStatus, error) {
	r.mu.Lock()
	r.starting++
	r.mu.Unlock()
	pid, err := fork()

	r.mu.Lock()
	defer r.mu.Unlock()
	exit := make(chan unix.WaitStatus, 1)
	if err == nil {
		if status, ok := r.early[pid]; ok {
			exit <- status
		} else {
			r.watched[pid] = exit
		}
		delete(r.early, pid)
	}
	if r.starting--; r.starting == 0 {
		clear(r.early)
	}
	return pid, exit, err
}

// signal sends a signal to a watched process's group, and only while its PID
// can't have been given to another process.
func (r *reaper) signal(pid int, sig unix.Signal) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.watched[pid]; !ok {
		return unix.ESRCH
	}
	return unix.Kill(-pid, sig)
}
