//go:build linux

package harness

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// maxKnown bounds how many accounts are remembered.
const maxKnown = 32

// settleTime is how old a file's last change must be for what was read of it to be
// kept: two changes within one tick of the kernel's clock can look like one.
const settleTime = time.Second

// accounts remembers who processes run as, for as long as the files that say so
// are the same: reading them takes an exec longer, without KVM, than making a process.
type accounts struct {
	settle time.Duration // settleTime; a test's own
	mu     sync.Mutex
	files  [2]fileState
	known  map[string]account
}

// fileState is what changes when a file does. The zero value is a file that can't
// be read.
type fileState struct {
	dev, ino       uint64
	size           int64
	mtime, changed unix.Timespec
}

func stateOf(path string) (s fileState) {
	var st unix.Stat_t
	if unix.Stat(path, &st) == nil {
		s = fileState{uint64(st.Dev), st.Ino, st.Size, st.Mtim, st.Ctim}
	}
	return s
}

// settled reports whether the next change of the file will show.
func (s fileState) settled(after time.Duration) bool {
	return time.Since(time.Unix(s.changed.Unix())).Abs() > after
}

// find is findAccount, from memory where that is still right.
func (a *accounts) find(spec, passwd, group string) (account, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	files := [2]fileState{stateOf(passwd), stateOf(group)}
	if a.known == nil || files != a.files || len(a.known) >= maxKnown {
		a.files, a.known = files, map[string]account{}
	}
	if who, ok := a.known[spec]; ok {
		return who, nil
	}
	who, err := findAccount(spec, passwd, group)
	if err == nil && files[0].settled(a.settle) && files[1].settled(a.settle) {
		a.known[spec] = who
	}
	return who, err
}
