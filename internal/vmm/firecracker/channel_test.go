package firecracker

import (
	"io"
	"net"
	"strings"
	"testing"

	"aegis/internal/vmm"
)

func TestGreeting(t *testing.T) {
	for answer, want := range map[string]string{
		"OK 1073741824\nthe guest's": "", "": errNobody.Error(), "OK": errNobody.Error(),
		"NO\n": "answers", strings.Repeat("OK ", 99): "", strings.Repeat("x", 99): "answers",
	} {
		ours, theirs := net.Pipe()
		heard := make(chan string, 1)
		go func() {
			line := make([]byte, 64)
			n, _ := theirs.Read(line)
			heard <- string(line[:n])
			io.WriteString(theirs, answer)
			theirs.Close()
		}()
		err := greet(ours, 1100)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("to %.20q it says %v", answer, err)
		}
		if asked := <-heard; asked != "CONNECT 1100\n" {
			t.Errorf("asked %q", asked)
		}
		if rest := make([]byte, 11); err == nil && strings.Contains(answer, "guest") {
			if _, err := io.ReadFull(ours, rest); err != nil || string(rest) != "the guest's" {
				t.Errorf("what follows is %q, %v", rest, err)
			}
		}
		ours.Close()
	}
}

func TestPortsAreTakenOnce(t *testing.T) {
	m := &machine{ports: map[vmm.Port]bool{vmm.PortFS: false}}
	if err := m.take(vmm.PortFS); err != nil {
		t.Error(err)
	}
	if m.take(vmm.PortFS) == nil || m.take(vmm.PortControl) == nil {
		t.Error("taken twice, or without being there")
	}
	m.putBack(vmm.PortFS)
	if err := m.take(vmm.PortFS); err != nil {
		t.Errorf("after it was put back: %v", err)
	}
}
