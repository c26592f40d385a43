package qemu_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aegis/internal/vmm"
	"aegis/internal/vmm/qemu"
)

// fakeQEMU puts a script on PATH that answers --version and else runs body.
func fakeQEMU(t *testing.T, body string) {
	t.Helper()
	dir := t.TempDir()
	script := "#!/bin/sh\n[ \"$1\" = --version ] && { echo 'QEMU emulator version 7.2.0'; exit; }\n" + body + "\n"
	if err := os.WriteFile(filepath.Join(dir, "qemu-system-x86_64"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
}

func TestMonitorsLastWordsAreTheError(t *testing.T) {
	fakeQEMU(t, "echo 'could not set up host cpu' >&2; exit 1")
	b := qemu.New(qemu.TCG)
	if err := b.Probe(t.Context()); err != nil {
		t.Skip("pending: " + err.Error())
	}
	vm := bootAnything(t, b)
	select {
	case <-vm.Done():
	case <-time.After(30 * time.Second):
		t.Fatal("the end of the monitor is not seen")
	}
	if err := vm.Err(); err == nil || !strings.Contains(err.Error(), "could not set up host cpu") || !strings.Contains(err.Error(), "exit status 1") {
		t.Errorf("Err is %v", err)
	}
}

// Nothing of ours may show in the monitor: not the environment, not our ends of its sockets.
func TestMonitorInheritsNothing(t *testing.T) {
	t.Setenv("API_KEY", "hunter2")
	fakeQEMU(t, "/bin/ls -l /proc/$$/fd >&2; /bin/grep -c hunter2 /proc/$$/environ >&2; exit 1")
	vm := bootAnything(t, qemu.New(qemu.TCG))
	<-vm.Done()
	said := vm.Err().Error()
	if n := strings.Count(said, "socket:"); n != 3 { // console, control and one port
		t.Errorf("the monitor has %d sockets, not 3: %s", n, said)
	}
	if !strings.HasSuffix(said, "; 0") {
		t.Errorf("the monitor has our environment: %s", said)
	}
}

func TestProbeSaysWhatIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if err := qemu.New(qemu.TCG).Probe(t.Context()); err == nil || !strings.Contains(err.Error(), "not") {
		t.Errorf("Probe says %v", err)
	}
}

func bootAnything(t *testing.T, b *qemu.Backend) vmm.VM {
	t.Helper()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	vm, err := b.Boot(t.Context(), vmm.Config{Dir: t.TempDir(), Kernel: f, Initrd: f, CPUs: 1, Memory: 256 << 20,
		Ports: []vmm.Port{vmm.PortControl}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { vm.Close() })
	return vm
}
