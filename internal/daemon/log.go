package daemon

import (
	"io"
	"log/slog"
	"os"
	"sync"

	"aegis/internal/paths"

	"golang.org/x/sys/unix"
)

// maxLog bounds aegisd.log, in bytes. One earlier file of this size is kept beside it.
const maxLog = 8 << 20

// newLog writes the daemon's own words.
func newLog(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// ownLog is standard error. Where that is the home's aegisd.log, as `aegis up` has it,
// that file is bounded: what goes there past the logger, a crash of the runtime,
// goes to the same place.
func ownLog(getenv func(string) string) io.Writer {
	home, err := paths.Locate(getenv)
	if err != nil {
		return os.Stderr
	}
	l := &logFile{path: home.DaemonLog(), earlier: home.EarlierDaemonLog(), max: maxLog, out: os.Stderr, fds: []int{1, 2}}
	here, err := os.Stderr.Stat()
	if err != nil {
		return os.Stderr
	}
	there, err := os.Stat(l.path)
	if err != nil || !os.SameFile(here, there) {
		return os.Stderr
	}
	l.size = here.Size()
	return l
}

// logFile is a file that begins anew when it is full.
type logFile struct {
	path, earlier string
	max           int64
	out           *os.File
	fds           []int // descriptors of the file, that get the new one

	mu   sync.Mutex
	size int64
}

// Write writes whole records; a new file begins between two of them.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size > 0 && l.size+int64(len(p)) > l.max && l.turn() == nil {
		l.size = 0
	}
	n, err := l.out.Write(p)
	l.size += int64(n)
	return n, err
}

// turn keeps the file as the earlier one and begins another. When it can't, the
// file grows on.
func (l *logFile) turn() error {
	if err := os.Rename(l.path, l.earlier); err != nil && !os.IsNotExist(err) {
		return err
	}
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, fd := range l.fds {
		if err := unix.Dup2(int(f.Fd()), fd); err != nil {
			return err
		}
	}
	return nil
}
