package krun

import (
	"path/filepath"
	"strings"

	"aegis/internal/confine"
)

// needs is what the process opens by itself: its program, the libraries, and KVM.
func (w worker) needs() []confine.Need {
	list := confine.Program(w.path)
	for _, path := range []string{w.libraries.Libkrun, w.libraries.Libkrunfw} {
		if !within(path, list) {
			list = append(list, confine.Need{Path: path, Kind: confine.Libraries})
		}
	}
	return append(list, confine.Need{Path: "/dev/kvm", Kind: confine.Device})
}

// within is whether a directory of libraries that stays has the file already.
func within(path string, list []confine.Need) bool {
	for _, need := range list {
		if need.Kind == confine.Libraries && strings.HasPrefix(path, need.Path+string(filepath.Separator)) {
			return true
		}
	}
	return false
}
