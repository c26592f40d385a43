package logs

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"time"

	"aegis/internal/paths"
)

// coarse is by how much a file's time may lag behind the clock that the records
// have: the kernel's tick on most file systems, two seconds on the worst.
const coarse = 2 * time.Second

// wants reports whether line is a record, and one that the query is about.
func (q Query) wants(line []byte) bool {
	if len(line) == 0 || line[0] != '{' {
		return false
	}
	if q.Since.IsZero() && len(q.Streams) == 0 && q.Exec == "" {
		return json.Valid(line)
	}
	var record struct {
		TS     time.Time `json:"ts"`
		Stream string    `json:"stream"`
		Exec   string    `json:"exec_id"`
	}
	if err := json.Unmarshal(line, &record); err != nil {
		return false
	}
	return !record.TS.Before(q.Since) &&
		(len(q.Streams) == 0 || slices.Contains(q.Streams, record.Stream)) &&
		(q.Exec == "" || q.Exec == record.Exec)
}

// start is where the reading begins. It looks at no more of the log than it must:
// from the end for a tail, and only at files that changed after Since.
func (q Query) start(dir string) (position, error) {
	if q.Tail == 0 {
		return end(dir)
	}
	found, err := numbers(dir)
	if errors.Is(err, os.ErrNotExist) {
		return position{}, nil
	}
	if err != nil {
		return position{}, err
	}
	var at position
	left := q.Tail
	for _, n := range slices.Backward(found) {
		older, err := q.scan(dir, n, &at, &left)
		if err != nil || !older {
			return at, err
		}
	}
	return at, nil
}

// scan moves at back through file n, over left wanted records or, when left is
// negative, to its beginning. older says whether earlier files matter.
func (q Query) scan(dir string, n int, at *position, left *int) (older bool, err error) {
	f, err := os.Open(paths.LogFile(dir, n))
	if errors.Is(err, os.ErrNotExist) {
		return false, nil // dropped meanwhile, and all older ones with it
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	if info.ModTime().Add(coarse).Before(q.Since) {
		if *at == (position{}) { // nothing fits so far: go on behind it
			at.n = n
			at.off, err = lastNewline(f, info.Size())
		}
		return false, err
	}
	*at = position{n: n}
	if *left < 0 {
		return true, nil
	}
	err = backward(f, info.Size(), func(off int64, line []byte) bool {
		if q.wants(line) {
			at.off = off
			*left--
		}
		return *left > 0
	})
	return *left > 0, err
}

// end is the place behind the last whole record.
func end(dir string) (position, error) {
	found, err := numbers(dir)
	if errors.Is(err, os.ErrNotExist) || len(found) == 0 {
		return position{}, nil
	}
	if err != nil {
		return position{}, err
	}
	n := found[len(found)-1]
	f, err := os.Open(paths.LogFile(dir, n))
	if errors.Is(err, os.ErrNotExist) {
		return position{n: n}, nil
	}
	if err != nil {
		return position{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return position{}, err
	}
	off, err := lastNewline(f, info.Size())
	return position{n, off}, err
}
