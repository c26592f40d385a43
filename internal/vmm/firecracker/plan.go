package firecracker

import (
	"fmt"
	"os"
	"strings"

	"aegis/internal/vmm"
)

// The monitor's files in its directory, which is also its working directory, so that
// their names are the same for every VM: a template has them in its state.
const (
	apiSocket   = "api.sock"
	vsockSocket = "v.sock"
	logPipe     = "log"
	kernelFile  = "vmlinux"
	zerosFile   = "zeros"
	newDisk     = "disk" // what Replace brings, for the length of one request
)

// made are all of them, for who cleans up.
var made = []string{apiSocket, vsockSocket, logPipe, kernelFile, zerosFile, newDisk}

// firstFD is the number of the first passed descriptor in the monitor: os/exec
// puts ExtraFiles behind the three standard streams.
const firstFD = 3

// passed are the files that a monitor gets. The disks come first: a template's state
// names them by their numbers.
type passed []*os.File

// pass gives the name that a file will have in the monitor.
func (p *passed) pass(f *os.File) string {
	*p = append(*p, f)
	return fdPath(firstFD + len(*p) - 1)
}

// fdPath lets the monitor open a descriptor anew, with an offset of its own.
func fdPath(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }

// passDisks passes the disks, zeros for those without a file.
func (p *passed) passDisks(disks []vmm.Disk, zeros *os.File) {
	for _, d := range disks {
		if d.File == nil {
			p.pass(zeros)
		} else {
			p.pass(d.File)
		}
	}
}

// diskPath is the name of the ith disk's file in the monitor, if the disks were passed first.
func diskPath(i int) string { return fdPath(firstFD + i) }

// diskID is the name of the ith disk's device.
func diskID(i int) string { return fmt.Sprintf("disk%d", i) }

// commandLine is the monitor's arguments. Nothing in it is secret: any user of the host
// can read it. Warnings are not logged: a guest causes as many as it likes, by ports that
// there are not, and the last lines say why a monitor ended.
func commandLine() []string {
	return []string{"--id", "aegis", "--api-sock", apiSocket, "--log-path", logPipe, "--level", "Error"}
}

// guestArgs are the kernel's command line.
//
// reboot=k panic=-1: a reboot is the keyboard controller's, which ends the monitor, and
// a panic reboots at once. The controller has no keyboard and no mouse to look for.
// aegis.vsock and aegis.disks tell the guest what it can't see here: that its ports are
// vsock's, and the serial numbers of /dev/vda, /dev/vdb and so on.
func guestArgs(cfg vmm.Config) string {
	line := []string{"console=ttyS0", "quiet", "reboot=k", "panic=-1", "i8042.nokbd", "i8042.noaux"}
	var serials []string
	for _, d := range cfg.Disks {
		serials = append(serials, d.Serial)
	}
	line = append(line, "aegis.vsock", "aegis.disks="+strings.Join(serials, ","))
	return strings.Join(append(line, cfg.Args...), " ")
}

// request is one of those that make a machine.
type request struct {
	path string
	body any
}

// machineRequests describe a machine that boots, in an order that the API takes; the
// last one starts it.
func machineRequests(cfg vmm.Config, kernel, initrd string) []request {
	out := []request{
		{"/machine-config", machineConfig{VCPUs: cfg.CPUs, Memory: cfg.Memory >> 20}},
		{"/boot-source", bootSource{Kernel: kernel, Initrd: initrd, Args: guestArgs(cfg)}},
	}
	for i, d := range cfg.Disks {
		out = append(out, request{"/drives/" + diskID(i), drive{ID: diskID(i), Path: diskPath(i), ReadOnly: d.ReadOnly, Cache: writeback}})
	}
	return append(out,
		request{"/vsock", vsock{CID: guestCID, Path: vsockSocket}},
		request{"/actions", action{"InstanceStart"}})
}

// check refuses a configuration that the monitor would refuse later or misread.
func check(cfg vmm.Config) error {
	if err := cfg.Check(caps); err != nil {
		return err
	}
	return checkNumbers(cfg.Ports)
}

// checkNumbers is of ports, which go by their numbers here; the low ones are a guest's
// root's alone.
func checkNumbers(ports []vmm.Port) error {
	numbers := map[uint32]bool{}
	for _, port := range ports {
		if port.Number < 1024 || numbers[port.Number] {
			return fmt.Errorf("port %q has the number %d, which is too low, or there twice", port.Name, port.Number)
		}
		numbers[port.Number] = true
	}
	return nil
}
