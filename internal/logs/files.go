package logs

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"

	"aegis/internal/durable"
	"aegis/internal/paths"
)

// shares is into how many files the cap is divided: what is thrown away at once,
// when the cap is reached, is the oldest of them.
const shares = 8

// files is the numbered files of one log, for its one writer.
type files struct {
	dir   string
	cap   int64
	kept  []part // oldest first; the last is open
	f     *os.File
	total int64
	syncs sync.WaitGroup // of files that are full
}

// part is one file and its size in bytes.
type part struct {
	n    int
	size int64
}

// open takes up a log where its last writer left it.
func (l *files) open(dir string, capBytes int64) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	l.dir, l.cap = dir, capBytes
	found, err := numbers(dir)
	if err != nil {
		return err
	}
	for _, n := range found {
		info, err := os.Stat(paths.LogFile(dir, n))
		if err != nil {
			return err
		}
		l.kept = append(l.kept, part{n, info.Size()})
		l.total += info.Size()
	}
	if len(l.kept) == 0 {
		return l.next()
	}
	last := &l.kept[len(l.kept)-1]
	if l.f, err = os.OpenFile(paths.LogFile(dir, last.n), os.O_RDWR|os.O_APPEND, 0o600); err != nil {
		return err
	}
	whole, err := lastNewline(l.f, last.size)
	if err != nil {
		l.f.Close()
		return err
	}
	return l.truncate(whole)
}

// lastNewline is the offset behind the last newline of the first size bytes.
func lastNewline(f io.ReaderAt, size int64) (int64, error) {
	var buf [32 << 10]byte
	for end := size; end > 0; {
		start := max(0, end-int64(len(buf)))
		chunk := buf[:end-start]
		if _, err := f.ReadAt(chunk, start); err != nil && err != io.EOF {
			return 0, err
		}
		if i := bytes.LastIndexByte(chunk, '\n'); i >= 0 {
			return start + int64(i) + 1, nil
		}
		end = start
	}
	return 0, nil
}

// truncate cuts the open file to size.
func (l *files) truncate(size int64) error {
	last := &l.kept[len(l.kept)-1]
	if err := l.f.Truncate(size); err != nil {
		return err
	}
	l.total -= last.size - size
	last.size = size
	return nil
}

// append writes whole records, all of them or none.
func (l *files) append(records []byte) error {
	n := int64(len(records))
	if size := l.kept[len(l.kept)-1].size; size > 0 && size+n > l.cap/shares {
		if err := l.next(); err != nil {
			return err
		}
	}
	for len(l.kept) > 1 && l.total+n > l.cap {
		if err := l.drop(); err != nil {
			return err
		}
	}
	last := &l.kept[len(l.kept)-1]
	if _, err := l.f.Write(records); err != nil {
		l.f.Truncate(last.size) // a record that is cut short must not get others behind it
		return err
	}
	last.size += n
	l.total += n
	return nil
}

// next begins a new file. The one that is full goes to the disk meanwhile.
func (l *files) next() error {
	n := 1
	if len(l.kept) > 0 {
		n = l.kept[len(l.kept)-1].n + 1
	}
	f, err := os.OpenFile(paths.LogFile(l.dir, n), os.O_RDWR|os.O_APPEND|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if full := l.f; full != nil {
		l.syncs.Go(func() {
			full.Sync()
			full.Close()
		})
	}
	l.f = f
	l.kept = append(l.kept, part{n: n})
	return nil
}

// drop removes the oldest file.
func (l *files) drop() error {
	oldest := l.kept[0]
	if err := os.Remove(paths.LogFile(l.dir, oldest.n)); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("remove the oldest file: %w", err)
	}
	l.total -= oldest.size
	l.kept = append(l.kept[:0], l.kept[1:]...)
	return nil
}

// close sees that everything, names included, is on the disk.
func (l *files) close() error {
	l.syncs.Wait()
	err := l.f.Sync()
	if closing := l.f.Close(); err == nil {
		err = closing
	}
	durable.Sync(l.dir)
	return err
}
