//go:build linux

package harness

import (
	"io"
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestPortIsDialledAgain plays a host that gives up connections: before it was heard, and
// as a restore does, after the guest was told to forget it. Only then is an end no end.
func TestPortIsDialledAgain(t *testing.T) {
	type dialled struct {
		host  net.Conn
		guest *os.File
	}
	dial := func() dialled {
		host, guest := socketPair(t)
		f, err := guest.(*net.UnixConn).File()
		guest.Close()
		if err != nil {
			t.Fatal(err)
		}
		return dialled{host, f}
	}
	first, second, third := dial(), dial(), dial()
	next := make(chan dialled, 2)
	p := newPort(first.guest, func() (*os.File, error) { return (<-next).guest, nil })
	defer p.Close()
	expect := func(host net.Conn, text string) {
		t.Helper()
		go io.WriteString(host, text)
		got := make([]byte, len(text))
		if _, err := io.ReadFull(p, got); err != nil || string(got) != text {
			t.Fatalf("read %q, %v", got, err)
		}
	}
	first.host.Close()
	next <- second
	expect(second.host, "hello")
	p.forget()
	second.host.Close()
	next <- third
	expect(third.host, "again")
	if _, err := p.Write([]byte("x")); err != nil {
		t.Errorf("write: %v", err)
	}
	third.host.Close()
	if n, err := p.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Errorf("after the end of a host that was heard: %d, %v", n, err)
	}
}

// TestPumpWaitsForTheHost has a pump's port dialled by two hosts, the first of which gave
// it up, and one that nobody dials.
func TestPumpWaitsForTheHost(t *testing.T) {
	path := t.TempDir() + "/port"
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	f, err := listener.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	shared, err := listeners{"port": f}.share("port")
	if err != nil {
		t.Fatal(err)
	}
	defer shared.Close()
	first, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	first.Close()
	second, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	fd, err := dialled(int(shared.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK != 0 {
		t.Errorf("flags %#x, %v", flags, err)
	}
	go io.WriteString(second, "hello")
	got := make([]byte, 5)
	if n, err := unix.Read(fd, got); n != 5 || string(got) != "hello" {
		t.Errorf("read %q, %v", got[:max(n, 0)], err)
	}
	if same, err := dialled(fd); err != nil || same != fd {
		t.Errorf("of a connection: %d, not %d, %v", same, fd, err)
	}
}
