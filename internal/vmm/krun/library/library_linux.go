package library

import (
	"debug/elf"
	"fmt"
	"regexp"
	"slices"
)

// libkrunfw's series is the one that libkrun 1.x opens by itself.
var names = spelling{
	libkrun: "libkrun.so.1", libkrunfw: "libkrunfw.so.5",
	version: regexp.MustCompile(`^libkrun\.so\.(\d{1,4})\.(\d{1,4})\.(\d{1,4})$`),
}

// System are the directories where distributions and `make install` put libraries.
var System = []string{"/usr/local/lib64", "/usr/local/lib", "/usr/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib"}

// checkName compares a library's own name.
func checkName(path, want string) error {
	f, err := elf.Open(path)
	if err != nil {
		return fmt.Errorf("read %q: %w", path, err)
	}
	defer f.Close()
	found, err := f.DynString(elf.DT_SONAME)
	if err != nil {
		return fmt.Errorf("read %q: %w", path, err)
	}
	if !slices.Contains(found, want) {
		return fmt.Errorf("%q calls itself %q, not %s", path, found, want)
	}
	return nil
}
