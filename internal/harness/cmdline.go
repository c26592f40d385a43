//go:build linux

package harness

import (
	"os"
	"slices"
	"strings"
	"sync"
)

// The words by which a monitor tells on the kernel's command line what the guest can't
// see there: that its ports are a vsock device's, and which serial numbers /dev/vda,
// /dev/vdb and so on stand for.
const (
	wordVsock = "aegis.vsock"
	wordDisks = "aegis.disks="
)

// told is what the monitor says, read once.
var told = sync.OnceValue(func() hints {
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return hints{}
	}
	return parseHints(string(line))
})

// hints are what a command line tells.
type hints struct {
	vsock bool
	disks []string // serial numbers, in the order of the devices
}

func parseHints(line string) hints {
	var h hints
	for word := range strings.FieldsSeq(line) {
		if word == wordVsock {
			h.vsock = true
		}
		if list, ok := strings.CutPrefix(word, wordDisks); ok && list != "" {
			h.disks = strings.Split(list, ",")
		}
	}
	return h
}

// disk is the device that stands for a serial number, or nothing.
func (h hints) disk(serial string) string {
	i := slices.Index(h.disks, serial)
	if i < 0 || i >= 26 { // then come names of two letters
		return ""
	}
	return "/dev/vd" + string(rune('a'+i))
}
