package qemu

import (
	"fmt"
	"runtime"
)

// board is what differs between the machines of two architectures. Their devices are
// the same: those of virtio, each on a transport of its own (virtio-mmio).
type board struct {
	emulator string // its program
	pack     string // Debian's package of it
	machine  func(major int) string
	model    func(major int) string // of processor, where it is emulated
	console  string                 // as the guest's kernel calls it
	words    []string
	tsc      bool // the guest counts time by a processor's clock that has the host's rate
}

// boards are those of the architectures that guests may have, by GOARCH.
//
// amd64: the option ROMs are not needed to load a kernel, until QEMU 10, which boots
// none without them. reboot=t makes a reboot a triple fault. no_timer_check and
// tsc_early_khz: else a guest under TCG hangs at random while it calibrates the TSC
// against a timer; TCG's TSC is the host's own. tsc=reliable: else a guest whose boot
// the host held up takes the TSC for a broken one, and for the rest of its life counts
// time in lost ticks of 4 ms. The processor says nothing of string instructions being fast:
// translated, they go byte by byte. Told that they are, a kernel copies, clears pages and a
// C library copies with them, which takes seven times as long for 64 KiB as others do.
//
// arm64: the kernel finds its devices in a device tree, and reboots by PSCI. By default
// an emulated processor signs pointers with a cipher that takes most of its time; an
// algorithm of QEMU's own does as well for a guest that nothing isolates by that.
var boards = map[string]board{
	"amd64": {
		emulator: "qemu-system-x86_64", pack: "qemu-system-x86",
		machine: func(major int) string {
			return "microvm,x-option-roms=" + onOff(major >= 10) + ",rtc=on,acpi=on"
		},
		model: func(major int) string {
			if major < 8 { // knows of no others
				return "max,-erms"
			}
			return "max,-erms,-fsrm,-fzrm,-fsrs,-fsrc"
		},
		console: "ttyS0", words: []string{"reboot=t", "no_timer_check"}, tsc: true,
	},
	"arm64": {
		emulator: "qemu-system-aarch64", pack: "qemu-system-arm",
		machine: func(int) string { return "virt,gic-version=max,its=off,acpi=off" },
		model:   func(int) string { return "max,pauth-impdef=on" }, console: "ttyAMA0",
	},
}

// boardOf is the board of an architecture.
func boardOf(arch string) (board, error) {
	b, ok := boards[arch]
	if !ok {
		return board{}, fmt.Errorf("guests of architecture %s are not supported by this backend", arch)
	}
	return b, nil
}

// Install is the command that brings the emulator of an architecture.
func Install(arch string) string {
	if runtime.GOOS == "darwin" {
		return "brew install qemu"
	}
	return "sudo apt-get install " + boards[arch].pack
}

// clock is the rate in kHz that a guest of this board counts time by; 0: not the host's.
func (b board) clock() int {
	if !b.tsc {
		return 0
	}
	return tscKHz()
}
