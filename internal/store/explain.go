package store

import (
	"errors"
	"path/filepath"
	"syscall"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"aegis/internal/fault"
)

// scarce is the free space, in bytes, below which a failed write is put down to
// a full disk even where SQLite says no more than "I/O error". It is the size of
// one step by which the shared-memory index grows (32 KiB, sqlite.org/walformat.html), twice.
const scarce = 64 << 10

// explain makes a *fault.Error of what the driver says; one that is a fault
// already stays as it is.
func explain(path, what string, err error) error {
	var known *fault.Error
	if errors.As(err, &known) {
		return known
	}
	if errors.Is(err, syscall.ENOSPC) {
		return full(path, what, err)
	}
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return fault.New(fault.Internal, path, what, "%w", err)
	}
	switch e.Code() & 0xff { // the primary result code (sqlite.org/rescode.html)
	case sqlite3.SQLITE_FULL:
		return full(path, what, err)
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN:
		if free(path) < scarce {
			return full(path, what, err)
		}
	case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT:
		return fault.New(fault.Internal, path, what, "the file is damaged or is not a registry: %w", err)
	case sqlite3.SQLITE_BUSY:
		return fault.New(fault.Internal, path, what, "another program holds it: %w", err)
	}
	return fault.New(fault.Internal, path, what, "%w", err)
}

func full(path, what string, err error) error {
	e := fault.New(fault.NoSpace, filepath.Dir(path), what, "the disk of %s is full", filepath.Dir(path))
	e.Cause = err
	return e
}

// free is how many bytes a user may still write beside path; a lot if unknown.
func free(path string) uint64 {
	var st syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(path), &st); err != nil {
		return 1 << 62
	}
	return st.Bavail * uint64(st.Bsize)
}
