package fake

import "golang.org/x/sys/unix"

// dup makes descriptor to another name of from.
func dup(from, to int) error { return unix.Dup3(from, to, unix.O_CLOEXEC) }
