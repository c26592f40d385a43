//go:build linux

package harness

import (
	"io"
	"net"
	"sync/atomic"
	"testing"

	"github.com/libp2p/go-yamux/v5"

	"aegis/internal/wire"
)

// portWrite is the most that one write to a virtio-serial port takes (chunk says where from).
const portWrite = 32 << 10

// measured remembers the longest write to a connection.
type measured struct {
	net.Conn
	longest atomic.Int64
}

func (m *measured) Write(p []byte) (int, error) {
	m.longest.Store(max(m.longest.Load(), int64(len(p))))
	return m.Conn.Write(p)
}

// TestChunksFitAWrite sends a full chunk as output and as a relayed port's bytes.
func TestChunksFitAWrite(t *testing.T) {
	hostEnd, guestEnd := socketPair(t)
	port := &measured{Conn: guestEnd}
	guest, err := yamux.Server(port, muxConfig(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer guest.Close()
	host, err := yamux.Client(hostEnd, muxConfig(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	for name, send := range map[string]func(*yamux.Stream){
		"output": func(s *yamux.Stream) {
			out := frames{w: s}
			out.write(wire.FrameStdout, make([]byte, chunk))
			s.CloseWrite()
		},
		"port": func(s *yamux.Stream) {
			app, server := tcpPair(t)
			server.Write(make([]byte, 2*chunk)) // before it is read, so that reads are full
			server.Close()
			join(s, app)
		},
	} {
		t.Run(name, func(t *testing.T) {
			port.longest.Store(0)
			ours, err := host.OpenStream(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer ours.Close()
			ours.CloseWrite()
			theirs, err := guest.AcceptStream()
			if err != nil {
				t.Fatal(err)
			}
			go send(theirs)
			if n, err := io.Copy(io.Discard, ours); err != nil || n < chunk {
				t.Fatalf("%d bytes came, %v", n, err)
			}
			if longest := port.longest.Load(); longest > portWrite || longest < portWrite/2 {
				t.Errorf("a write of %d bytes, and %d fit", longest, portWrite)
			}
		})
	}
}

// tcpPair is a connection of this machine's loopback.
func tcpPair(t *testing.T) (a, b *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dialled, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return dialled.(*net.TCPConn), accepted.(*net.TCPConn)
}
