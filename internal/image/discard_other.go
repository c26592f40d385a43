//go:build !linux

package image

import "os"

// discard removes a tree of unfinished work: nothing is built outside of Linux, so that
// nothing is mounted in it.
func discard(dir string) error { return os.RemoveAll(dir) }
