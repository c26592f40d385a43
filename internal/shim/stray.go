package shim

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

// strayEvery is how often a run looks whether it can still be found.
const strayEvery = 500 * time.Millisecond

// stray begins to look after the run's socket. When that is taken away the run
// ends: no daemon could find it ever again, and its VM would keep the instance's disk.
func (r *run) stray(socket string) {
	ours, err := os.Lstat(socket)
	go r.lookAfter(socket, ours, err)
}

func (r *run) lookAfter(socket string, ours fs.FileInfo, err error) {
	ticker := time.NewTicker(strayEvery)
	defer ticker.Stop()
	for !errors.Is(err, fs.ErrNotExist) {
		select {
		case <-r.ended:
			return
		case <-ticker.C:
		}
		var now fs.FileInfo
		if now, err = os.Lstat(socket); err == nil && !os.SameFile(ours, now) {
			break
		}
	}
	r.fail("its run directory was taken away, so that no daemon could find it")
	r.killing.Do(func() { close(r.killed) })
}
