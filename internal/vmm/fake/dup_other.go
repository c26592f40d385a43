//go:build !linux

package fake

import "golang.org/x/sys/unix"

// dup makes descriptor to another name of from.
func dup(from, to int) error {
	if err := unix.Dup2(from, to); err != nil {
		return err
	}
	unix.CloseOnExec(to)
	return nil
}
