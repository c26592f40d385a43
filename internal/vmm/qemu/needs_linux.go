package qemu

import (
	"path/filepath"
	"regexp"
	"strconv"
	"sync"

	"aegis/internal/confine"
)

// dataDirs are where distributions put QEMU's firmware.
var dataDirs = []string{"/usr/share/qemu", "/usr/share/seabios", "/usr/share/edk2"}

// known remembers the needs of each emulator.
var known sync.Map

// needs is what an emulator opens by itself: its libraries and modules, its firmware,
// random bytes, the accelerator's device.
func (b binary) needs(accel Accel) []confine.Need {
	needs, ok := known.Load(b)
	if !ok {
		needs, _ = known.LoadOrStore(b, b.files())
	}
	list := needs.([]confine.Need)
	if accel == KVM {
		list = append(list[:len(list):len(list)], confine.Need{Path: "/dev/kvm", Kind: confine.Device})
	}
	return list
}

func (b binary) files() []confine.Need {
	list := confine.Program(string(b))
	for _, dir := range append(dataDirs, filepath.Join(filepath.Dir(string(b)), "../share/qemu")) {
		list = append(list, confine.Need{Path: filepath.Clean(dir), Kind: confine.Read})
	}
	return append(distinct(list), confine.Need{Path: "/dev/urandom", Kind: confine.Device})
}

// distinct leaves out what is there already: a mount would be made twice.
func distinct(list []confine.Need) []confine.Need {
	seen := map[string]bool{}
	var out []confine.Need
	for _, need := range list {
		if !seen[need.Path] {
			seen[need.Path] = true
			out = append(out, need)
		}
	}
	return out
}

// memoryFile is how a command line names the file that is the guest's memory.
var memoryFile = regexp.MustCompile(`mem-path=/proc/self/fd/(\d+)`)

// memory are the descriptors that QEMU opens for writing though they are not: the
// memory of a template, which it maps as its own (QEMU 7.2 can't open it otherwise).
func memory(args []string) []int {
	var out []int
	for _, arg := range args {
		if m := memoryFile.FindStringSubmatch(arg); m != nil {
			if n, err := strconv.Atoi(m[1]); err == nil {
				out = append(out, n)
			}
		}
	}
	return out
}
