//go:build !linux

package library

import "regexp"

var names = spelling{
	libkrun: "libkrun.1.dylib", libkrunfw: "libkrunfw.5.dylib",
	version: regexp.MustCompile(`^libkrun\.(\d{1,4})\.(\d{1,4})\.(\d{1,4})\.dylib$`),
}

// System are the directories where Homebrew and `make install` put libraries.
var System = []string{"/opt/homebrew/lib", "/usr/local/lib"}

// checkName leaves the check to the loader, which compares names here.
func checkName(string, string) error { return nil }
