package secret

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"aegis/internal/durable"
	"aegis/internal/fault"
	"aegis/internal/undo"
)

// writeFile puts data at name, 0600, so that a crash at any moment leaves the old
// file or the new one. pattern names the unfinished one, in the same directory.
func writeFile(name, pattern string, data []byte) error {
	var u undo.Stack
	defer u.Run()
	f, err := os.CreateTemp(filepath.Dir(pattern), filepath.Base(pattern)) // 0600
	if err != nil {
		return err
	}
	u.Add(func() { f.Close(); os.Remove(f.Name()) })
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	u.Keep()
	return durable.Sync(filepath.Dir(name))
}

// explain makes a *fault.Error of what the system says; one that is a fault
// already stays as it is.
func explain(subject, what string, err error) error {
	var known *fault.Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fault.New(fault.NoSpace, subject, what, "%w", err)
	}
	return fault.New(fault.Internal, subject, what, "%w", err)
}
