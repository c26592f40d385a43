//go:build linux

package harness

import (
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aegis/internal/fault"
	"aegis/internal/guest"
	"aegis/internal/vmm"
)

func TestPortNames(t *testing.T) {
	if vmm.PortControl.Name != controlPort || vmm.PortFS.Name != fsPort || vmm.PortNet.Name != netPort {
		t.Errorf("the host calls them %q, %q and %q", vmm.PortControl.Name, vmm.PortFS.Name, vmm.PortNet.Name)
	}
	for _, port := range []vmm.Port{vmm.PortControl, vmm.PortFS, vmm.PortNet} {
		if vsockPorts[port.Name] != port.Number {
			t.Errorf("port %q is %d here, and the host dials %d", port.Name, vsockPorts[port.Name], port.Number)
		}
	}
}

// listenOn serves an upper-casing peer that answers after the end of its input,
// and counts its connections.
func listenOn(t *testing.T, address string) (port uint16, accepted *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("pending: can't listen on %s: %v", address, err)
	}
	t.Cleanup(func() { l.Close() })
	accepted = &atomic.Int32{}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			go func() {
				defer c.Close()
				all, _ := io.ReadAll(c)
				io.WriteString(c, strings.ToUpper(string(all)))
			}()
		}
	}()
	return uint16(l.Addr().(*net.TCPAddr).Port), accepted
}

// TestDial needs half-close both ways, on each loopback address.
func TestDial(t *testing.T) {
	link := started(t)
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		t.Run(address, func(t *testing.T) {
			port, _ := listenOn(t, address)
			c, err := link.Dial(t.Context(), port, time.Second)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			time.AfterFunc(patience, func() { c.Close() })
			want := strings.Repeat("half ", 100_000)
			go func() {
				io.WriteString(c, want)
				c.(interface{ CloseWrite() error }).CloseWrite()
			}()
			if got, err := io.ReadAll(c); string(got) != strings.ToUpper(want) || err != nil {
				t.Errorf("%d bytes of %d came back, %v", len(got), len(want), err)
			}
		})
	}
}

// freePort is a port where nothing listens, most likely.
func freePort(t *testing.T) uint16 {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

func TestDialRefused(t *testing.T) {
	link := started(t)
	for _, wait := range []time.Duration{0, 30 * time.Millisecond} {
		if _, err := link.Dial(t.Context(), freePort(t), wait); !fault.Is(err, fault.Timeout) {
			t.Errorf("after %s: %v", wait, err)
		}
	}
}

// TestDialWaits has 50 dials wait for one port: all get through, and the port
// sees no connection that is nobody's.
func TestDialWaits(t *testing.T) {
	const dials = 50
	link := started(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	port := uint16(l.Addr().(*net.TCPAddr).Port)
	l.Close()
	var all sync.WaitGroup
	for range dials {
		all.Go(func() {
			c, err := link.Dial(t.Context(), port, patience)
			if err != nil {
				t.Error(err)
				return
			}
			c.Close()
		})
	}
	_, accepted := listenOn(t, address)
	all.Wait()
	await(t, "every connection to be accepted", func() bool { return accepted.Load() >= dials })
	if n := accepted.Load(); n != dials {
		t.Errorf("%d connections for %d dials", n, dials)
	}
}

// TestDialLooksOnce: however many wait, one looks.
func TestDialLooksOnce(t *testing.T) {
	d := newDialer()
	port := freePort(t)
	ctx, cancel := cancelled(t)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if c, err := d.dial(ctx, port); err == nil {
				c.Close()
				t.Error("connected to nothing")
			}
		})
	}
	await(t, "one to look", func() bool { d.mu.Lock(); defer d.mu.Unlock(); return len(d.looking) == 1 })
	cancel()
	all.Wait()
	if len(d.looking) != 0 {
		t.Errorf("%d still look", len(d.looking))
	}
}

// TestDialCancelled: nobody looks at a port for a client that has gone.
func TestDialCancelled(t *testing.T) {
	host, guestEnd := socketPair(t)
	s := newServer(reaping, here{})
	s.with = &settings{}
	served := make(chan string, 1)
	go func() { served <- s.serve(guestEnd) }()
	link, err := guest.Open(t.Context(), host)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { link.Close(); <-served }()
	looking := func() int { s.dialer.mu.Lock(); defer s.dialer.mu.Unlock(); return len(s.dialer.looking) }
	ctx, cancel := cancelled(t)
	go link.Dial(ctx, freePort(t), time.Hour)
	await(t, "the dial to look", func() bool { return looking() == 1 })
	cancel()
	await(t, "the dial to end", func() bool { return looking() == 0 })
}

// TestDialAppEndsFirst: the application closes its direction and goes on reading.
func TestDialAppEndsFirst(t *testing.T) {
	link := started(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	heard := make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		io.WriteString(c, "all I have to say")
		c.(*net.TCPConn).CloseWrite()
		all, _ := io.ReadAll(c)
		heard <- string(all)
	}()
	c, err := link.Dial(t.Context(), uint16(l.Addr().(*net.TCPAddr).Port), 0)
	if err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(patience, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer timer.Stop()
	if got, err := io.ReadAll(c); string(got) != "all I have to say" || err != nil {
		t.Fatalf("%q, %v", got, err)
	}
	io.WriteString(c, "and the rest")
	c.Close()
	if got := <-heard; got != "and the rest" {
		t.Errorf("the application heard %q", got)
	}
}
