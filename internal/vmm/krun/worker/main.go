// Package worker is the process of one VM: it loads libkrun, tells it what the order on
// its standard input says, and becomes the VM. Its process was confined before it began.
//
// cmd/aegis-krun is its one caller: whoever imports it is linked with the C library. It
// opens no file but the two libraries; all else it was given as descriptors. It prints
// on standard error: what it refuses, what libkrun says, and what the guest prints on its
// console, each line behind a mark.
package worker

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"golang.org/x/sys/unix"

	"aegis/internal/vmm/krun/library"
	"aegis/internal/vmm/krun/order"
)

// Main is the process. Without arguments it is a VM, and comes back only to say why it
// could not become one. "check LIBKRUN LIBKRUNFW" loads the libraries and no more.
func Main(args []string) int {
	runtime.LockOSThread() // libkrun's loop keeps the thread that it was called on
	debug.SetTraceback("none")
	signal.Ignore(syscall.SIGPIPE) // libkrun takes the error
	var err error
	switch {
	case len(args) == 0:
		err = enter()
	case len(args) == 3 && args[0] == "check":
		_, err = load(library.Pair{Libkrun: args[1], Libkrunfw: args[2]})
	default:
		err = errors.New("aegis-shim starts it, with an order on its standard input")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "aegis-krun:", err)
		return 1
	}
	return 0
}

// enter becomes the VM. It returns on an error only: libkrun ends the process.
func enter() error {
	o, err := order.Decode(os.Stdin)
	if err != nil {
		return err
	}
	k, err := load(library.Pair{Libkrun: o.Libkrun, Libkrunfw: o.Libkrunfw})
	if err != nil {
		return err
	}
	harness, err := mapFile(o.Harness)
	if err != nil {
		return fmt.Errorf("read the harness: %w", err)
	}
	ctx, err := k.configure(o, harness)
	if err != nil {
		return err
	}
	ready := os.NewFile(uintptr(o.Ready), "ready")
	if _, err := ready.Write([]byte{1}); err != nil {
		return fmt.Errorf("say that it is ready: %w", err)
	}
	ready.Close()
	return outcome("krun_start_enter", k.startEnter(ctx))
}

// mapFile gives a file's bytes, which stay as long as the process: libkrun keeps a
// pointer to them. They are the host's page cache, one copy for all VMs.
func mapFile(fd int) ([]byte, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, os.NewSyscallError("fstat", err)
	}
	data, err := unix.Mmap(fd, 0, int(st.Size), unix.PROT_READ, unix.MAP_PRIVATE)
	return data, os.NewSyscallError("mmap", err)
}

// outcome is a function's result as an error: it answers with a negative error number.
func outcome(name string, result int32) error {
	if result >= 0 {
		return nil
	}
	return fmt.Errorf("%s: %w", name, syscall.Errno(-result))
}
