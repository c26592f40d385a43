package firecracker

import (
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"aegis/internal/vmm"
	"aegis/internal/vmm/monitor"
)

// TestEndIsExplained has shells end as monitors do. The guest's own end is none to explain.
func TestEndIsExplained(t *testing.T) {
	for script, want := range map[string]string{
		"exit 0":                                "",
		"exit 148":                              "firecracker ended with exit status 148 (a system call that its filters refuse)",
		"kill -9 $$":                            "firecracker ended with signal: killed",
		"echo out of memory >&2; exit 1":        "firecracker ended with exit status 1: out of memory",
		"echo first >&2; echo >&2 last; exit 1": "firecracker ended with exit status 1: first; last",
	} {
		m := ended(t, script)
		<-m.Done()
		if err := m.Err(); (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("%s: %v, want %q", script, err, want)
		}
		if err := m.lastWords(vmm.ErrEnded); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: a request fails with %v", script, err)
		}
		m.Close()
	}
}

// TestCloseClosesTheAPI holds that a VM's end leaves no connection to its monitor.
func TestCloseClosesTheAPI(t *testing.T) {
	m := ended(t, "exit 0")
	near, far := net.Pipe()
	m.api = newAPI(near)
	m.Close()
	far.SetReadDeadline(time.Now().Add(time.Second))
	if _, err := far.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the API's connection after Close: %v", err)
	}
}

// ended is a machine whose monitor is a shell.
func ended(t *testing.T, script string) *machine {
	t.Helper()
	console, consoleEnd, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer consoleEnd.Close()
	log, logEnd, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer logEnd.Close()
	cmd := exec.Command("sh", "-c", script)
	cmd.Stdout, cmd.Stderr = consoleEnd, logEnd
	proc, err := monitor.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	return newMachine(proc, vmm.Config{Dir: t.TempDir()}, console, log)
}
