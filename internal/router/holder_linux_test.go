package router

import (
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"aegis/internal/fault"
	"aegis/internal/instance"
)

// TestHolderIsNamed hands a listening socket to a child and closes our own.
func TestHolderIsNamed(t *testing.T) {
	l, err := listenOn(netip.MustParseAddr("127.0.0.1"), 0)
	if err != nil {
		t.Fatal(err)
	}
	port := uint16(netip.MustParseAddrPort(l.Addr().String()).Port())
	f, err := l.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command("sleep", "60")
	child.ExtraFiles = []*os.File{f}
	if err := child.Start(); err != nil {
		t.Skip("pending: there is no sleep here:", err)
	}
	defer func() { child.Process.Kill(); child.Wait() }()
	f.Close()
	l.Close()
	r := New(&fake{}, Options{})
	defer r.Close()
	_, err = r.Claim([]instance.Port{{Guest: 1, Host: port}})
	want := "it is held by sleep (pid " + itoa(child.Process.Pid) + ")"
	if !fault.Is(err, fault.PortTaken) || !strings.Contains(err.Error(), want) {
		t.Fatalf("%v\nwant %s", err, want)
	}
}

func TestParseSocket(t *testing.T) {
	for line, want := range map[string]string{
		"   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 12345 1 0 100 0 0 10 0":                                             "127.0.0.1:8080 true 1000 12345",
		"   1: 0000000000000000FFFF00000100007F:0050 00000000000000000000000000000000:0000 01 00000000:00000000 00:00000000 00000000     0        0 9 1 0 100 0 0 10 0": "127.0.0.1:80 false 0 9",
		"   2: B80D0120000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 9 1 0 100 0 0 10 0": "[2001:db8::1]:80 true 0 9",
	} {
		s, ok := parseSocket(line)
		state := "false"
		if s.listening {
			state = "true"
		}
		if got := netip.AddrPortFrom(s.ip, s.port).String() + " " + state + " " + s.uid + " " + s.inode; !ok || got != want {
			t.Errorf("%s\ngot  %s\nwant %s", line, got, want)
		}
	}
}

func FuzzParseSocket(f *testing.F) {
	f.Add("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode")
	f.Add("   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 12345 1 0 100 0 0 10 0")
	f.Fuzz(func(t *testing.T, line string) {
		if s, ok := parseSocket(line); ok && !s.ip.IsValid() {
			t.Fatalf("%+v", s)
		}
	})
}

func TestPrintable(t *testing.T) {
	if got := printable("a\x1b[2Jb"); got != `a\x1b[2Jb` {
		t.Fatal(got)
	}
}
