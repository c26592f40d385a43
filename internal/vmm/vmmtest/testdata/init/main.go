// Command init is PID 1 in the VMs of the backends' contract.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"aegis/internal/vmm"
	"aegis/internal/vmm/vmmtest/guest"
)

func main() {
	fmt.Println("init:", run())
	powerOff()
}

// run serves until something fails, and says what.
func run() error {
	fmt.Println("init: up")
	for _, m := range []struct{ fs, dir string }{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}} {
		os.MkdirAll(m.dir, 0o755)
		if err := unix.Mount(m.fs, m.dir, m.fs, 0, ""); err != nil && err != unix.EBUSY { // some kernels mount it themselves
			return fmt.Errorf("mount %s: %w", m.dir, err)
		}
	}
	if err := loadModules("order"); err != nil {
		return err
	}
	fmt.Println("init: modules loaded")
	if err := readHints(); err != nil {
		return err
	}
	// A second port is an echo, so that the suite has two streams.
	machine := guest.Machine{
		PowerOff: powerOff, Panic: crash, ReadDisk: readDisk, WriteDisk: writeDisk,
		DropDisk: dropDisk, Frames: frames, Remember: remember, Recall: recall}
	if told.vsock {
		return serveVsock(machine)
	}
	if port, err := openPort(vmm.PortFS.Name, 100*time.Millisecond); err == nil {
		go guest.Serve(port, guest.Machine{})
	}
	control, err := openPort(vmm.PortControl.Name, 5*time.Second)
	if err != nil {
		return err
	}
	if _, err := control.WriteString("ready\n"); err != nil {
		return err
	}
	return guest.Serve(control, machine)
}

func loadModules(list string) error {
	order, err := os.ReadFile("/modules/" + list)
	if os.IsNotExist(err) { // the kernel has all drivers built in
		return nil
	}
	if err != nil {
		return err
	}
	for name := range strings.FieldsSeq(string(order)) {
		f, err := os.Open("/modules/" + name)
		if err != nil {
			return err
		}
		if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && err != unix.EEXIST {
			return fmt.Errorf("load %s: %w", name, err)
		}
		f.Close()
	}
	return nil
}

func openPort(name string, patience time.Duration) (*os.File, error) {
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		names, _ := filepath.Glob("/sys/class/virtio-ports/*/name")
		for _, path := range names {
			if found, _ := os.ReadFile(path); strings.TrimSpace(string(found)) == name {
				return os.OpenFile("/dev/"+filepath.Base(filepath.Dir(path)), os.O_RDWR, 0)
			}
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("no port %s", name)
		}
	}
}

func openDisk(serial string, flags int) (*os.File, error) {
	if i := slices.Index(told.disks, serial); i >= 0 {
		return os.OpenFile("/dev/vd"+string(rune('a'+i)), flags, 0)
	}
	paths, _ := filepath.Glob("/sys/block/*/serial")
	for _, path := range paths {
		if found, _ := os.ReadFile(path); strings.TrimSpace(string(found)) == serial {
			return os.OpenFile("/dev/"+filepath.Base(filepath.Dir(path)), flags, 0)
		}
	}
	return nil, fmt.Errorf("no disk %s", serial)
}

func readDisk(serial string, n int) ([]byte, error) {
	f, err := openDisk(serial, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	buf := make([]byte, n)
	_, err = f.ReadAt(buf, 0)
	return buf, err
}

func writeDisk(serial string, data []byte) error {
	f, err := openDisk(serial, os.O_RDWR)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteAt(data, 0); err != nil {
		return err
	}
	return f.Sync()
}

func powerOff() {
	if told.restart { // such a machine has no power to switch off
		unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
	}
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	select {}
}

func crash() {
	os.WriteFile("/proc/sys/kernel/sysrq", []byte("1"), 0)
	os.WriteFile("/proc/sysrq-trigger", []byte("c"), 0)
	exhaust()
}
