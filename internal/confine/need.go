package confine

import (
	"debug/elf"
	"path/filepath"
	"strings"
)

// Need is something of the host that a program can't be without: it stays where it is,
// and where it is missing it is left out.
type Need struct {
	Path string   `json:"path"` // absolute
	Kind NeedKind `json:"kind"`
}

// NeedKind is what may be done with it.
type NeedKind string

// The kinds. Nothing but a device can be written.
const (
	Read      NeedKind = "read"      // files to read
	Libraries NeedKind = "libraries" // to load code from
	Run       NeedKind = "run"       // a program
	Device    NeedKind = "device"    // a device file to use
)

// Stay is what a monitor keeps of the host.
type Stay struct {
	Rung  Rung
	Needs []Need

	// Files are descriptors that it opens anew as /proc/self/fd/N without its command line
	// naming them. Writes are those, and named ones, that may be opened anew for writing
	// though they were not opened for it.
	Files, Writes []int

	// Named are files that its command line names by path, where it can't be given open
	// ones (macOS).
	Named []string

	// Serves is for one that listens on unix sockets, in the working directory that its
	// command has. There it may make sockets, and use files that others put in.
	Serves bool
}

// Reach is what a sealed shim goes on opening by name.
type Reach struct {
	Change []string // directories: below them it makes, changes and removes files
	Read   []string // files, or directories for what is below them; what is missing is left out
}

// Program is what a program needs to start: its file, and if it names a dynamic linker
// that and the libraries.
func Program(path string) []Need {
	list := []Need{{path, Run}}
	if loader := Loader(path); loader != "" {
		list = append(list, Need{loader, Run})
		// The C library stands beside it, and with it what a distribution packages.
		if real, err := filepath.EvalSymlinks(loader); err == nil {
			list = append(list, Need{filepath.Dir(real), Libraries})
		}
		list = append(list, Need{"/etc/ld.so.cache", Read})
	}
	if strings.HasPrefix(path, "/nix/store/") {
		list = append(list, Need{"/nix/store", Libraries})
	}
	return list
}

// Loader is the dynamic linker that a program names, or nothing.
func Loader(path string) string {
	f, err := elf.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	section := f.Section(".interp")
	if section == nil {
		return ""
	}
	name, err := section.Data()
	if err != nil {
		return ""
	}
	return strings.TrimRight(string(name), "\x00")
}
