// Package durable has what outlasts a crash of the host.
package durable

import (
	"errors"
	"os"
)

// Sync brings a file's bytes, or a directory's names, to the disk (fsync(2)). A new or
// renamed file outlasts a crash when both it and its directory were brought there.
func Sync(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
