package accel

import (
	"encoding/binary"
	"fmt"
	"unsafe"
)

// ioctl numbers and layouts of linux/kvm.h, for x86-64.
const (
	kvmSetRegs  = 0x4090ae82 // _IOW(0xae, 0x82, 144 bytes)
	kvmGetSregs = 0x8138ae83 // _IOR(0xae, 0x83, 312 bytes)
	kvmSetSregs = 0x4138ae84

	exitEnd       = 5      // KVM_EXIT_HLT
	offRIP        = 16 * 8 // in struct kvm_regs
	offRFLAGS     = 17 * 8
	offCSBase     = 0 // in struct kvm_sregs, whose first member is cs
	offCSSelector = 12
)

// code is the guest's memory and, at address 0 in real mode, its code:
//
//	mov cx, 20000; again: dec cx; jnz again; hlt
var code = []byte{0xb9, 0x20, 0x4e, 0x49, 0x75, 0xfd, 0xf4}

// reset starts the processor at address 0 in real mode.
func reset(_, vcpu int) error {
	var sregs [312]byte
	if err := ioctl(vcpu, kvmGetSregs, uintptr(unsafe.Pointer(&sregs))); err != nil {
		return fmt.Errorf("read a virtual processor: %w", err)
	}
	binary.LittleEndian.PutUint64(sregs[offCSBase:], 0)
	binary.LittleEndian.PutUint16(sregs[offCSSelector:], 0)
	if err := ioctl(vcpu, kvmSetSregs, uintptr(unsafe.Pointer(&sregs))); err != nil {
		return fmt.Errorf("set a virtual processor: %w", err)
	}
	var regs [144]byte
	binary.LittleEndian.PutUint64(regs[offRIP:], 0)
	binary.LittleEndian.PutUint64(regs[offRFLAGS:], 2) // bit 1 is always set
	if err := ioctl(vcpu, kvmSetRegs, uintptr(unsafe.Pointer(&regs))); err != nil {
		return fmt.Errorf("set a virtual processor: %w", err)
	}
	return nil
}
