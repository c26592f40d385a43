package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"aegis/internal/vmm"
	"aegis/internal/vmm/vmmtest/guest"
)

// told is what the monitor says on the kernel's command line of what can't be seen here.
var told struct {
	vsock   bool     // the ports are a vsock device's
	restart bool     // only a restart ends the machine
	disks   []string // serial numbers of /dev/vda, /dev/vdb and so on
}

func readHints() error {
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return err
	}
	for word := range strings.FieldsSeq(string(line)) {
		if word == "aegis.vsock" {
			told.vsock = true
		}
		if word == "aegis.vsock" || word == "reboot=k" {
			told.restart = true
		}
		if list, ok := strings.CutPrefix(word, "aegis.disks="); ok {
			told.disks = strings.Split(list, ",")
		}
	}
	return nil
}

// serveVsock serves each connection to the two ports. The first to the control port hears
// that the guest is ready; those after a restore do not.
func serveVsock(machine guest.Machine) error {
	if err := loadModules("order.vsock"); err != nil {
		return err
	}
	control, err := listen(vmm.PortControl.Number)
	if err != nil {
		return err
	}
	other, err := listen(vmm.PortFS.Number)
	if err != nil {
		return err
	}
	go serveEach(other, "", guest.Machine{})
	return serveEach(control, "ready\n", machine)
}

func listen(port uint32) (int, error) {
	fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrVM{CID: unix.VMADDR_CID_ANY, Port: port})
	}
	if err == nil {
		err = unix.Listen(fd, 4)
	}
	if err != nil {
		return -1, fmt.Errorf("listen on port %d: %w", port, err)
	}
	return fd, nil
}

func serveEach(listener int, greeting string, machine guest.Machine) error {
	for {
		fd, _, err := unix.Accept(listener)
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		conn := os.NewFile(uintptr(fd), "vsock")
		if _, err := conn.WriteString(greeting); err == nil {
			greeting = ""
			go func() {
				defer conn.Close()
				guest.Serve(conn, machine)
			}()
		}
	}
}
