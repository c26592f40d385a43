package accel

import (
	"encoding/binary"
	"fmt"
	"unsafe"
)

// ioctl numbers and layouts of linux/kvm.h and asm/kvm.h, for arm64.
const (
	kvmPreferredTarget = 0x8020aeaf // _IOR(0xae, 0xaf, 32 bytes), of a VM
	kvmInit            = 0x4020aeae // _IOW(0xae, 0xae, 32 bytes)

	exitEnd     = 24     // KVM_EXIT_SYSTEM_EVENT
	offFeatures = 4      // in struct kvm_vcpu_init
	psci        = 1 << 2 // KVM_ARM_VCPU_PSCI_0_2
)

// code is the guest's memory and, at address 0 with the MMU off, its code:
//
//	movz x1, #20000; again: subs x1, x1, #1; b.ne again
//	movz w0, #8; movk w0, #0x8400, lsl #16; hvc #0 (PSCI's SYSTEM_OFF); b .
var code = words(0xd289c401, 0xf1000421, 0x54ffffe1, 0x52800100, 0x72b08000, 0xd4000002, 0x14000000)

func words(list ...uint32) []byte {
	var out []byte
	for _, w := range list {
		out = binary.LittleEndian.AppendUint32(out, w)
	}
	return out
}

// reset starts the processor at address 0, which is where it begins.
func reset(vm, vcpu int) error {
	var init [32]byte
	if err := ioctl(vm, kvmPreferredTarget, uintptr(unsafe.Pointer(&init[0]))); err != nil {
		return fmt.Errorf("ask for a virtual processor's kind: %w", err)
	}
	binary.LittleEndian.PutUint32(init[offFeatures:], psci)
	if err := ioctl(vcpu, kvmInit, uintptr(unsafe.Pointer(&init[0]))); err != nil {
		return fmt.Errorf("set a virtual processor: %w", err)
	}
	return nil
}
