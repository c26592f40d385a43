package netstack

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

// peer dials one address of the test's, whatever is asked for.
type peer struct{ tcp, udp string }

func (p peer) Dial(ctx context.Context, network string, _ netip.AddrPort) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, map[string]string{TCP: p.tcp, UDP: p.udp}[network])
}

// child is the variable with the peer's addresses, in a process that is a guest's
// network as the helper is.
const child = "AEGIS_TEST_PEER"

func serveAlone(t *testing.T) {
	debug.SetMemoryLimit(MemoryLimit)
	frames, err := net.FileConn(os.NewFile(3, "frames"))
	if err != nil {
		t.Fatal(err)
	}
	tcp, udp, _ := strings.Cut(os.Getenv(child), " ")
	err = Serve(t.Context(), frames, Config{MAC: guestMAC, Dialer: peer{tcp, udp}, Resolver: world(nil)})
	if err != nil {
		t.Error(err)
	}
}

// generous is who is outside: it sends all that goes and never reads.
func generous(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close(); packets.Close() })
	plenty := make([]byte, 1<<20)
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			c.(*net.TCPConn).SetWriteBuffer(4 << 10) // the test must not fill what the host has for TCP
			c.(*net.TCPConn).SetReadBuffer(4 << 10)
			t.Cleanup(func() { c.Close() })
			go c.Write(plenty)
		}
	}()
	go func() {
		b := make([]byte, 1<<16)
		for {
			_, from, err := packets.ReadFrom(b)
			if err != nil {
				return
			}
			for range 3 {
				packets.WriteTo(plenty[:60_000], from)
			}
		}
	}()
	return listener.Addr().String() + " " + packets.LocalAddr().String()
}

// alone starts a guest's network as a process, and gives the guest's end.
func alone(t *testing.T) (net.Conn, *os.Process) {
	monitor, ours, err := pair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { monitor.Close() })
	end, err := ours.(*net.TCPConn).File()
	ours.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer end.Close()
	cmd := exec.Command(os.Args[0], "-test.run=^TestMemory$")
	cmd.Env = append(os.Environ(), child+"="+generous(t))
	cmd.ExtraFiles = []*os.File{end}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	monitor.SetDeadline(time.Now().Add(3 * patience))
	return monitor, cmd.Process
}

// peak is the most that a process has had resident, in bytes (proc(5)).
func peak(t *testing.T, p *os.Process) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(status), "VmHWM:")
	var kib int
	if _, err := fmt.Sscan(line, &kib); err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// A guest that takes all it can get costs a bounded amount: every connection full in
// both directions, every flow, fragments, and nothing that it reads.
func TestMemory(t *testing.T) {
	if os.Getenv(child) != "" {
		serveAlone(t)
		return
	}
	if testing.Short() || runtime.GOOS != "linux" {
		t.Skip("pending: takes seconds, and Linux's account of a process")
	}
	wire, process := alone(t)
	first := peak(t, process)
	g := &greedy{wire, newFrameReader(wire)}
	g.connect(t)
	g.flows()
	g.fragments()
	if err := g.last(); err != nil {
		t.Fatalf("it does not answer behind all of it: %v", err)
	}
	most := peak(t, process)
	t.Logf("%d connections and %d flows: %.1f MiB at most, from %.1f", maxTCP, maxUDP, float64(most)/(1<<20), float64(first)/(1<<20))
	if most > 128<<20 {
		t.Errorf("that is more than 128 MiB")
	}
}
