package qemu

import (
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"aegis/internal/vmm"
)

// after is the argument behind a flag, of several the nth.
func after(args []string, flag string, n int) string {
	for i, a := range args {
		if a == flag {
			if n == 0 {
				return args[i+1]
			}
			n--
		}
	}
	return ""
}

func TestCommand(t *testing.T) {
	next := 2
	p := newPlan(vmm.Config{
		CPUs: 2, Memory: 300 << 20, Args: []string{"a=b"},
		Ports: []vmm.Port{vmm.PortControl, vmm.PortFS},
		Disks: []vmm.Disk{{Serial: "base", ReadOnly: true}, {Serial: "disk"}},
		NIC:   &vmm.NIC{MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, MTU: 65520},
	}, make([]*os.File, 3), func(*os.File) int { next++; return next })
	p.board, p.accel, p.major, p.tscKHz, p.console, p.control = boards["amd64"], TCG, 7, 2300000, 11, 12
	args := p.command()
	for _, want := range []struct {
		flag string
		n    int
		text string
	}{
		{"-M", 0, "x-option-roms=off"}, {"-accel", 0, "tcg,thread=single,tb-size=128"}, {"-cpu", 0, "max,-erms"},
		{"-m", 0, "300M"}, {"-smp", 0, "2"}, {"-kernel", 0, "/proc/self/fd/3"}, {"-initrd", 0, "/proc/self/fd/4"},
		{"-append", 0, "no_timer_check mitigations=off cgroup.memory=nokmem,nosocket tsc_early_khz=2300000 tsc=reliable a=b"},
		{"-chardev", 0, "socket,id=console,fd=11"}, {"-chardev", 1, "socket,id=control,fd=12"}, {"-mon", 0, "chardev=control,mode=control"},
		{"-chardev", 3, "socket,id=port1,fd=6"}, {"-device", 2, "chardev=port1,nr=2,name=aegis.fs"},
		{"-add-fd", 1, "set=1,fd=9"}, {"-netdev", 0, "addr.type=fd,addr.str=7"}, {"-device", 5, "mac=02:00:00:00:00:01,host_mtu=65520"},
		{"-blockdev", 0, "driver=file,node-name=file0.0,read-only=on"}, {"-blockdev", 1, "driver=raw,node-name=disk0,read-only=on"}, {"-blockdev", 3, "driver=raw,node-name=disk1,read-only=off"},
		{"-device", 4, "drive=disk1,serial=disk,werror=report"},
	} {
		if got := after(args, want.flag, want.n); !strings.Contains(got, want.text) {
			t.Errorf("%s (%d) is %q, without %q", want.flag, want.n, got, want.text)
		}
	}
	for _, flag := range []string{"-nodefaults", "-no-user-config", "-no-reboot", "-sandbox"} {
		if !slices.Contains(args, flag) {
			t.Errorf("%s is missing", flag)
		}
	}
	p.cpus = 1
	if accel := after(p.command(), "-accel", 0); accel != "tcg,thread=multi,tb-size=128" {
		t.Errorf("with one processor: -accel %s", accel)
	}
	if smp := after(p.command(), "-smp", 0); smp != "1,maxcpus=2" { // else atomic instructions are none
		t.Errorf("with one processor: -smp %s", smp)
	}
	p.cpus, p.major = 2, 10
	if accel := after(p.command(), "-accel", 0); accel != "tcg,thread=multi,tb-size=128" {
		t.Errorf("with QEMU 10: -accel %s", accel)
	}
	if model := after(p.command(), "-cpu", 0); model != "max,-erms,-fsrm,-fzrm,-fsrs,-fsrc" {
		t.Errorf("with QEMU 10: -cpu %s", model)
	}
	p.accel = KVM
	args = p.command()
	if line := after(args, "-append", 0); strings.Contains(line, "tsc_early_khz") {
		t.Errorf("with KVM the guest knows its TSC, yet: %s", line)
	}
	if m := after(args, "-M", 0); !strings.Contains(m, "x-option-roms=on") || after(args, "-cpu", 0) != "host" {
		t.Errorf("with QEMU 10 and KVM: %s, %s", m, after(args, "-cpu", 0))
	}
}

// TestMeasuresOfTrueProcessors holds that a kernel lets go of them where it is emulated alone.
func TestMeasuresOfTrueProcessors(t *testing.T) {
	for accel, off := range map[Accel]bool{TCG: true, KVM: false, HVF: false} {
		p := newPlan(vmm.Config{CPUs: 1, Memory: 256 << 20}, make([]*os.File, 1), func(*os.File) int { return 3 })
		p.board, p.accel, p.major = boards["amd64"], accel, 10
		if line := p.append(); strings.Contains(line, "mitigations=off") != off {
			t.Errorf("%s: %s", accel, line)
		}
	}
}

// TestCommandOfArm has nothing of a PC in it, and the same devices.
func TestCommandOfArm(t *testing.T) {
	p := newPlan(vmm.Config{CPUs: 1, Memory: 256 << 20, Ports: []vmm.Port{vmm.PortControl}, NIC: &vmm.NIC{}, Disks: []vmm.Disk{{Serial: "base"}}},
		make([]*os.File, 2), func(*os.File) int { return 3 })
	p.board, p.accel, p.major, p.ram = boards["arm64"], TCG, 10, &ramArg{4, true}
	args := p.command()
	if m := after(args, "-M", 0); !strings.HasPrefix(m, "virt,") || strings.Contains(m, "rom") || !strings.Contains(m, "memory-backend=ram") {
		t.Errorf("the machine is %s", m)
	}
	if line := after(args, "-append", 0); line != "console=ttyAMA0 quiet panic=-1 mitigations=off cgroup.memory=nokmem,nosocket" {
		t.Errorf("the kernel is told %q", line)
	}
	for n, device := range []string{"virtio-serial-device", "virtserialport", "virtio-blk-device", "virtio-net-device"} {
		if got := after(args, "-device", n); !strings.HasPrefix(got, device+",") {
			t.Errorf("device %d is %s, not %s", n, got, device)
		}
	}
	if cpu := after(args, "-cpu", 0); cpu != "max,pauth-impdef=on" {
		t.Errorf("the processor is %s", cpu)
	}
	for _, accel := range []Accel{KVM, HVF} {
		if p.accel = accel; after(p.command(), "-accel", 0) != string(accel) || after(p.command(), "-cpu", 0) != "host" {
			t.Errorf("with %s: %q", accel, p.command())
		}
	}
}

func TestParseVersion(t *testing.T) {
	for text, want := range map[string]int{
		"QEMU emulator version 7.2.22 (Debian 1:7.2)\nCopyright": 7,
		"QEMU emulator version 10.0.2":                           10,
		"QEMU emulator version 6.2.0":                            0,
		"bhyve 1":                                                0,
	} {
		if got, err := parseVersion([]byte(text)); got != want || (err != nil) != (want == 0) {
			t.Errorf("parseVersion(%q) = %d, %v", text, got, err)
		}
	}
}
