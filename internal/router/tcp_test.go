package router

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"aegis/internal/fault"
	"aegis/internal/instance"
)

func dialTCP(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(30 * time.Second))
	return c.(*net.TCPConn)
}

func TestTCPHalfClose(t *testing.T) {
	// The app answers only when the client has said all it has to say.
	f := rawApp(t, func(c *net.TCPConn) {
		all, _ := io.ReadAll(c)
		sum := sha256.Sum256(all)
		c.Write(sum[:])
	})
	_, addr := expose(t, f, instance.TCP)
	for _, size := range []int{0, 1, quiet - 1, quiet, quiet + 1, 1 << 20} {
		data := make([]byte, size)
		rand.NewChaCha8([32]byte{}).Read(data)
		c := dialTCP(t, addr)
		c.Write(data)
		c.CloseWrite()
		want := sha256.Sum256(data)
		if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, want[:]) {
			t.Fatalf("%d bytes: %x %v", size, got, err)
		}
	}
}

func TestTCPHalfCloseByApp(t *testing.T) {
	heard := make(chan string, 1)
	f := rawApp(t, func(c *net.TCPConn) {
		io.WriteString(c, "bye")
		c.CloseWrite()
		all, _ := io.ReadAll(c)
		heard <- string(all)
	})
	_, addr := expose(t, f, instance.TCP)
	c := dialTCP(t, addr)
	if got, err := io.ReadAll(c); err != nil || string(got) != "bye" {
		t.Fatal(string(got), err)
	}
	io.WriteString(c, "after the end")
	c.Close()
	if got := <-heard; got != "after the end" {
		t.Fatal(got)
	}
}

func TestTCPFailedWakeIsAReset(t *testing.T) {
	f := rawApp(t, func(*net.TCPConn) {})
	f.fail.Store(&fault.Error{Kind: fault.Backoff, Why: "it keeps failing"})
	f.hold = make(chan struct{}) // or the reset may come while we still connect
	_, addr := expose(t, f, instance.TCP)
	c := dialTCP(t, addr)
	close(f.hold)
	if got, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("%q %v", got, err)
	}
}

func TestTCPDeathOfTheVMIsAReset(t *testing.T) {
	f := rawApp(t, func(c *net.TCPConn) { io.Copy(c, c) })
	_, addr := expose(t, f, instance.TCP)
	c := dialTCP(t, addr)
	io.WriteString(c, "x")
	io.ReadFull(c, make([]byte, 1))
	f.kill()
	if got, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("%q %v", got, err)
	}
}

func TestTCPWaitsForTheWake(t *testing.T) {
	f := rawApp(t, func(c *net.TCPConn) { io.Copy(c, c) })
	f.hold = make(chan struct{})
	_, addr := expose(t, f, instance.TCP)
	c := dialTCP(t, addr)
	io.WriteString(c, "early")
	c.CloseWrite()
	eventually(t, "dial", func() bool { return f.dials.Load() == 1 })
	close(f.hold)
	if got, err := io.ReadAll(c); err != nil || string(got) != "early" {
		t.Fatal(string(got), err)
	}
}

func TestThousandConnections(t *testing.T) {
	f := rawApp(t, func(c *net.TCPConn) { io.Copy(c, c) })
	_, addr := expose(t, f, instance.TCP)
	conns := make([]*net.TCPConn, 1000)
	for i := range conns {
		conns[i] = dialTCP(t, addr)
	}
	var all sync.WaitGroup
	for i, c := range conns {
		all.Go(func() {
			say := itoa(i)
			io.WriteString(c, say)
			got := make([]byte, len(say))
			if _, err := io.ReadFull(c, got); err != nil || string(got) != say {
				t.Error(i, string(got), err)
			}
		})
	}
	all.Wait()
	if n := f.open.Load(); n != 1000 {
		t.Errorf("%d connections are open at once", n)
	}
}

func TestConnectionsBeyondTheLimitWait(t *testing.T) {
	f := rawApp(t, func(c *net.TCPConn) { io.Copy(c, c) })
	_, addr := expose(t, f, instance.TCP, func(r *Router) { r.limits.conns = 2 })
	one, two, three := dialTCP(t, addr), dialTCP(t, addr), dialTCP(t, addr)
	for _, c := range []*net.TCPConn{one, two, three} {
		io.WriteString(c, "x")
	}
	io.ReadFull(one, make([]byte, 1))
	io.ReadFull(two, make([]byte, 1))
	if n := f.dials.Load(); n != 2 {
		t.Fatalf("%d connections passed a limit of 2", n)
	}
	one.Close()
	if _, err := io.ReadFull(three, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

func TestCloseEndsOpenConnections(t *testing.T) {
	f := rawApp(t, func(c *net.TCPConn) { io.Copy(c, c) })
	claim, addr := expose(t, f, instance.TCP)
	c := dialTCP(t, addr)
	io.WriteString(c, "x")
	io.ReadFull(c, make([]byte, 1))
	claim.Drain()
	io.WriteString(c, "y")
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal("Drain cut an open connection:", err)
	}
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Fatal("Drain left the port open")
	}
	claim.Close()
	if _, err := io.ReadFull(c, make([]byte, 1)); err == nil {
		t.Fatal("Close left a connection open")
	}
	claim.Close()
}

// TestCloseWithAStuckGuest has a guest that reads nothing, as a paused one does.
func TestCloseWithAStuckGuest(t *testing.T) {
	done := make(chan struct{})
	f := rawApp(t, func(c *net.TCPConn) { <-done })
	defer close(done)
	claim, addr := expose(t, f, instance.TCP)
	c := dialTCP(t, addr)
	c.SetDeadline(time.Now().Add(time.Second))
	for err := error(nil); err == nil; {
		_, err = c.Write(make([]byte, 1<<20))
	}
	claim.Close()
	if n := f.open.Load(); n != 0 {
		t.Fatalf("%d guest connections outlive Close", n)
	}
}

// TestCloseWithAStuckClient has a client that reads nothing, and an app that has
// filled everything in between.
func TestCloseWithAStuckClient(t *testing.T) {
	full := make(chan struct{})
	f := rawApp(t, func(c *net.TCPConn) {
		for err := error(nil); err == nil; {
			c.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
			_, err = c.Write(make([]byte, 1<<20))
		}
		close(full)
		io.Copy(io.Discard, c)
	})
	claim, addr := expose(t, f, instance.TCP)
	dialTCP(t, addr)
	<-full
	claim.Close()
	if !claim.visitors.close() {
		t.Fatal("Close left the client's goroutines behind")
	}
	if n := f.open.Load(); n != 0 {
		t.Fatalf("%d guest connections outlive Close", n)
	}
}
