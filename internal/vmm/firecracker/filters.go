package firecracker

import (
	"debug/elf"
	"fmt"
	"slices"
)

// unfiltered are sections that only builds without filters of system calls have. Their
// makers describe filters for the musl C library only, and put none into a build for
// debugging (their build script); what they release has no such section. In turn they are
// the name of a dynamic linker, GNU's C library, and what debuggers read: a build that
// was not stripped has the last one too.
var unfiltered = []string{".interp", ".note.ABI-tag", ".debug_info"}

// Unfiltered says whether the monitor on PATH looks like a build without filters of system
// calls of its own.
func Unfiltered() (bool, error) {
	bin, err := find()
	if err != nil {
		return false, err
	}
	f, err := elf.Open(string(bin))
	if err != nil {
		return false, fmt.Errorf("look into %q: %w", string(bin), err)
	}
	defer f.Close()
	return slices.ContainsFunc(unfiltered, func(name string) bool { return f.Section(name) != nil }), nil
}
