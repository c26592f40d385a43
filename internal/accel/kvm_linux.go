//go:build amd64 || arm64

package accel

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"aegis/internal/undo"
)

const device = "/dev/kvm"

// ioctl numbers and layouts of linux/kvm.h that all architectures share.
const (
	kvmGetAPIVersion       = 0xae00
	kvmCreateVM            = 0xae01
	kvmGetVCPUMmapSize     = 0xae04
	kvmCreateVCPU          = 0xae41
	kvmSetUserMemoryRegion = 0x4020ae46 // _IOW(0xae, 0x46, 32 bytes)
	kvmRun                 = 0xae80

	apiVersion       = 12
	offImmediateExit = 1 // in struct kvm_run
	offExitReason    = 8
)

const page = 4096

// trial makes the VM, runs the loop and undoes everything.
func trial(ctx context.Context) Result {
	loop, err := timeLoop(ctx)
	if err != nil {
		return Result{Device: device, Reason: err.Error()}
	}
	return judge(loop)
}

func timeLoop(ctx context.Context) (time.Duration, error) {
	var u undo.Stack
	defer u.Run()
	vm, vcpu, run, err := machine(&u)
	if err != nil {
		return 0, err
	}
	defer interrupt(ctx, run)()
	best := time.Duration(0)
	for range tries {
		loop, err := runLoop(ctx, vcpu, run)
		if err != nil {
			return 0, err
		}
		if best == 0 || loop < best {
			best = loop
		}
		if best <= Limit {
			break
		}
		if err := reset(vm, vcpu); err != nil {
			return 0, err
		}
	}
	return best, nil
}

// tries is how often a slow loop is run: the first one pays for what is made at first
// need, and a busy host is slow now and then. The slow kind of device is slow each time.
const tries = 5

// runLoop times the loop, of a processor that was reset.
func runLoop(ctx context.Context, vcpu int, run []byte) (time.Duration, error) {
	var err error
	start := time.Now()
	for ctx.Err() == nil {
		_, err = ioctlOnce(vcpu, kvmRun, 0)
		if err == nil || !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EAGAIN) {
			break
		}
	}
	loop := time.Since(start)
	switch reason := binary.LittleEndian.Uint32(run[offExitReason:]); {
	case ctx.Err() != nil:
		return 0, fmt.Errorf("a loop in a virtual machine of %s did not end", device)
	case err != nil:
		return 0, fmt.Errorf("%s can't run a virtual machine: %w", device, err)
	case reason != exitEnd:
		return 0, fmt.Errorf("a virtual machine of %s ended with reason %d instead of by itself", device, reason)
	}
	return loop, nil
}

// interrupt makes KVM_RUN on this thread return when ctx ends: the flag refuses the
// next entry, the signal ends this one. SIGURG is one that the Go runtime expects at
// any time. The function it gives must be called before run is unmapped.
func interrupt(ctx context.Context, run []byte) func() {
	runtime.LockOSThread()
	thread := unix.Gettid()
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		run[offImmediateExit] = 1
		unix.Tgkill(unix.Getpid(), thread, unix.SIGURG) // the thread is locked, so it is there
	})
	return func() {
		if !stop() {
			<-done
		}
		runtime.UnlockOSThread()
	}
}

// machine makes a VM of one page and one processor, ready to run the code in that.
func machine(u *undo.Stack) (vm, vcpu int, run []byte, err error) {
	kvm, err := unix.Open(device, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, 0, nil, refused(err)
	}
	u.Add(func() { unix.Close(kvm) })
	if v, err := ioctlInt(kvm, kvmGetAPIVersion, 0); err != nil || v != apiVersion {
		return 0, 0, nil, fmt.Errorf("%s is not KVM of version %d", device, apiVersion)
	}
	if vm, err = ioctlInt(kvm, kvmCreateVM, 0); err != nil {
		return 0, 0, nil, fmt.Errorf("%s makes no virtual machine: %w", device, err)
	}
	u.Add(func() { unix.Close(vm) })
	mem, err := unix.Mmap(-1, 0, page, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	if err != nil {
		return 0, 0, nil, fmt.Errorf("map a page: %w", err)
	}
	u.Add(func() { unix.Munmap(mem) })
	copy(mem, code)
	region := struct {
		slot, flags       uint32
		guest, size, host uint64
	}{size: page, host: uint64(uintptr(unsafe.Pointer(&mem[0])))}
	if err := ioctl(vm, kvmSetUserMemoryRegion, uintptr(unsafe.Pointer(&region))); err != nil {
		return 0, 0, nil, fmt.Errorf("give memory to a virtual machine: %w", err)
	}
	if vcpu, err = ioctlInt(vm, kvmCreateVCPU, 0); err != nil {
		return 0, 0, nil, fmt.Errorf("%s makes no virtual processor: %w", device, err)
	}
	u.Add(func() { unix.Close(vcpu) })
	size, err := ioctlInt(kvm, kvmGetVCPUMmapSize, 0)
	if err != nil {
		return 0, 0, nil, fmt.Errorf("ask %s for its sizes: %w", device, err)
	}
	if run, err = unix.Mmap(vcpu, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return 0, 0, nil, fmt.Errorf("map a virtual processor: %w", err)
	}
	u.Add(func() { unix.Munmap(run) })
	return vm, vcpu, run, reset(vm, vcpu)
}

// refused says what the errors of opening the device mean.
func refused(err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("there is no %s", device)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%s may not be opened by user %d", device, os.Getuid())
	}
	return fmt.Errorf("%s can't be opened: %w", device, err)
}

// ioctl is ioctlInt whose result is only an error.
//
//go:uintptrescapes
func ioctl(fd int, request uint, arg uintptr) error {
	_, err := ioctlInt(fd, request, arg)
	return err
}

// ioctlInt asks again when a signal came in between: KVM_CREATE_VM says so on a busy host,
// and the Go runtime sends itself signals at any time.
//
//go:uintptrescapes
func ioctlInt(fd int, request uint, arg uintptr) (int, error) {
	return again(func() (int, error) { return ioctlOnce(fd, request, arg) })
}

// ioctlOnce gives up when a signal comes in between.
//
//go:uintptrescapes
func ioctlOnce(fd int, request uint, arg uintptr) (int, error) {
	n, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), arg)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// again repeats a call that a signal ended.
func again(call func() (int, error)) (int, error) {
	for {
		if n, err := call(); !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
