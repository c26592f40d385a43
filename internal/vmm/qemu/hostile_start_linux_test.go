package qemu

import (
	le "encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"

	"aegis/internal/confine"
	"aegis/internal/vmm"
	"aegis/internal/vmm/monitor"
)

// startHostile starts QEMU with the command line of a VM, which does not run, and gives
// its control connection.
func startHostile(t *testing.T, rung confine.Rung, a *aims) *captive {
	t.Helper()
	bin, err := find(runtime.GOARCH)
	if err != nil {
		t.Skip("pending: " + err.Error())
	}
	disk := scratch(t, "disk", make([]byte, 1<<20))
	cfg := vmm.Config{CPUs: 1, Memory: 64 << 20, Kernel: scratch(t, "kernel", kernelHead()), Initrd: scratch(t, "initrd", make([]byte, 4096)),
		Disks: []vmm.Disk{{Serial: "disk", File: disk}}, Ports: []vmm.Port{vmm.PortControl, vmm.PortFS},
		NIC: &vmm.NIC{MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, MTU: 1500}}
	end := func() *os.File { _, far := sockets(t); return far }
	cmd := exec.Command(string(bin))
	pass := func(f *os.File) int {
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
		return firstFD + len(cmd.ExtraFiles) - 1
	}
	p := newPlan(cfg, []*os.File{end(), end(), end()}, pass)
	p.console, p.control = pass(end()), pass(end())
	p.board, p.accel, p.major = boards[runtime.GOARCH], TCG, 7
	ours, theirs := sockets(t)
	cmd.Args = append(append(cmd.Args, p.command()...), "-S",
		"-chardev", fmt.Sprintf("socket,id=hostile,fd=%d", pass(theirs)), "-mon", "chardev=hostile,mode=control")
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = []string{}, t.TempDir(), os.Stderr, os.Stderr
	proc, err := start(cmd, rung, TCG)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { proc.Kill(); <-proc.Exited })
	conn, err := net.FileConn(ours)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	for _, f := range cmd.ExtraFiles {
		f.Close()
	}
	m := &captive{pid: proc.PID, conn: conn, in: json.NewDecoder(conn)}
	if _, why := m.ask("qmp_capabilities", nil); why != "" {
		t.Fatal(why)
	}
	m.before = m.open(t)
	return m
}

// scratch is a file of the VM's own, apart from what is aimed at.
func scratch(t *testing.T, name string, body []byte) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func sockets(t *testing.T) (near, far *os.File) {
	t.Helper()
	near, far, err := monitor.Pair("hostile")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	return near, far
}

// kernelHead is as much of a kernel as QEMU looks at: a header of the boot protocol
// 2.12, with one sector of set-up (Linux's Documentation/arch/x86/boot.rst).
func kernelHead() []byte {
	head := make([]byte, 8192)
	head[0x1f1], head[0x211] = 1, 1
	copy(head[0x202:], "HdrS")
	le.LittleEndian.PutUint16(head[0x206:], 0x020c)
	le.LittleEndian.PutUint32(head[0x22c:], 0x37ffffff)
	return head
}

// listening makes the sockets that are aimed at, and counts who comes.
func (a *aims) listening(t *testing.T) {
	t.Helper()
	var reached atomic.Int64
	a.reached = &reached
	a.here["socket"] = filepath.Join(a.dir, "socket")
	for _, l := range []struct{ network, address string }{{"unix", a.here["socket"].(string)}, {"unix", "@" + a.dir}, {"tcp4", "127.0.0.1:0"}} {
		listener, err := net.Listen(l.network, l.address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { listener.Close() })
		if at, ok := listener.Addr().(*net.TCPAddr); ok {
			a.here["port"] = at.Port
		}
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				reached.Add(1)
				conn.Close()
			}
		}()
	}
}
