package netstack

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
)

// simple is a guest without a stack that has one connection, as Linux has it: large
// segments, a scaled window, an acknowledgement for every other segment.
type simple struct {
	greedy
	port  uint16
	seq   uint32
	ack   uint32
	scale byte   // of the gateway's window
	edge  uint32 // up to where it may send
	sizes []int  // of the segments it got; acknowledgements are 0
}

// dialled opens the connection, over a channel as a monitor's.
func dialled(t testing.TB, o *outside) *simple {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]net.Conn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "frames")
		ends[i], err = net.FileConn(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ends[i].Close() })
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go Serve(ctx, ends[1], Config{MAC: guestMAC, Dialer: o, Resolver: o})
	ends[0].SetDeadline(time.Now().Add(patience))
	s := &simple{greedy: greedy{ends[0], newFrameReader(ends[0])}, port: 1000, seq: 1}
	s.send(syn, nil)
	s.seq++
	s.read(t)
	s.sizes = nil
	s.send(0x10, nil)
	return s
}

// send sends a segment; a SYN says that the window is in units of 128 bytes.
func (s *simple) send(flags byte, data []byte) {
	f := tcpSegment(s.port, s.seq, s.ack, flags, data)
	if flags == syn {
		l4 := append(f[34:54:54], 2, 4, 0xff, 0xc8, 1, 3, 3, 7)
		l4[12], l4[16], l4[17] = 7<<4, 0, 0
		from, to := Guest4.Addr().As4(), somewhere.As4()
		pseudo := checksum.Checksum(to[:], checksum.Checksum(from[:], protoTCP+uint16(len(l4))))
		binary.BigEndian.PutUint16(l4[16:], ^checksum.Checksum(l4, pseudo))
		f = packet(protoTCP, l4)
	}
	put(s.wire, f)
	s.seq += uint32(len(data))
}

// read takes one segment, and says whether it is the last.
func (s *simple) read(t testing.TB) (last bool) {
	t.Helper()
	for {
		f, err := s.frames.next()
		if err != nil {
			t.Fatal(err)
		}
		answer := s.isAnswer(f)
		if f[13] == 6 {
			continue
		}
		size := int(binary.BigEndian.Uint16(f[16:])) - 20 - int(f[46]>>4)*4
		s.sizes = append(s.sizes, size)
		s.ack = binary.BigEndian.Uint32(f[38:]) + uint32(size)
		if answer {
			s.ack++
			s.scale = scaleOf(f[54 : 34+int(f[46]>>4)*4])
		}
		window := uint32(binary.BigEndian.Uint16(f[48:]))
		if !answer {
			window <<= s.scale
		}
		s.edge = binary.BigEndian.Uint32(f[42:]) + window
		if f[47]&1 != 0 {
			s.ack++
			return true
		}
		return false
	}
}

// scaleOf reads the option of RFC 7323, 2.2.
func scaleOf(options []byte) byte {
	for len(options) > 2 && options[0] != 0 {
		switch options[0] {
		case 1:
			options = options[1:]
			continue
		case 3:
			return options[2]
		}
		options = options[max(2, options[1]):]
	}
	return 0
}

// download reads until the end, and gives how much there was.
func (s *simple) download(t testing.TB) (total int) {
	for last := false; !last; {
		last = s.read(t)
		total += s.sizes[len(s.sizes)-1]
		if last || len(s.sizes)%2 == 0 {
			s.send(0x10, nil)
		}
	}
	s.send(0x11, nil)
	return total
}

// upload sends that much, as the window lets it, and then its end.
func (s *simple) upload(t testing.TB, size int) {
	data := make([]byte, fullSegment)
	for size > 0 {
		n := min(size, len(data))
		for int32(s.edge-s.seq) < int32(n) {
			s.read(t)
		}
		s.send(0x18, data[:n])
		size -= n
	}
	s.send(0x11, nil)
}

// gives is a server that sends so much, and takes one that reads all and says how much.
func gives(size int) map[string]func(net.Conn) {
	return map[string]func(net.Conn){"tcp 1.2.3.4:80": func(c net.Conn) { c.Write(make([]byte, size)) }}
}

func takes(got chan<- int64) map[string]func(net.Conn) {
	return map[string]func(net.Conn){"tcp 1.2.3.4:80": func(c net.Conn) {
		n, _ := io.Copy(io.Discard, c)
		got <- n
	}}
}

// Much data comes in few frames, none of them a small rest: a frame is what costs a guest.
func TestFullFrames(t *testing.T) {
	const size = 16 << 20
	s := dialled(t, world(gives(size)))
	if n := s.download(t); n != size {
		t.Fatalf("%d bytes", n)
	}
	small := 0
	for _, n := range s.sizes {
		if n < fullSegment/8 {
			small++
		}
	}
	if small > len(s.sizes)/8 {
		t.Errorf("%d of %d frames are small", small, len(s.sizes))
	}
}

func TestUpload(t *testing.T) {
	const size = 16 << 20
	got := make(chan int64, 1)
	dialled(t, world(takes(got))).upload(t, size)
	if n := <-got; n != size {
		t.Errorf("%d bytes", n)
	}
}

// The first connections are fast, a hundred more are not slow, and each gives back what it had.
func TestRooms(t *testing.T) {
	r := newRooms()
	for i := range largeRooms + middleRooms + 1 {
		want := smallRoom
		switch {
		case i < largeRooms:
			want = largeRoom
		case i < largeRooms+middleRooms:
			want = middleRoom
		}
		if got := r.take(); got != want {
			t.Fatalf("connection %d has %+v", i+1, got)
		}
	}
	for _, back := range []room{smallRoom, middleRoom, largeRoom} {
		r.give(back)
	}
	for _, want := range []room{largeRoom, middleRoom, smallRoom} {
		if got := r.take(); got != want {
			t.Errorf("%+v after it was given back, want %+v", got, want)
		}
	}
}

func BenchmarkDownload(b *testing.B) {
	const size = 64 << 20
	frames := 0
	b.SetBytes(size)
	for b.Loop() {
		s := dialled(b, world(gives(size)))
		s.download(b)
		frames += len(s.sizes)
	}
	b.ReportMetric(float64(frames)/float64(b.N), "frames/op")
}

func BenchmarkUpload(b *testing.B) {
	const size = 64 << 20
	got, frames := make(chan int64, 1), 0
	b.SetBytes(size)
	for b.Loop() {
		s := dialled(b, world(takes(got)))
		s.upload(b, size)
		<-got
		frames += len(s.sizes)
	}
	b.ReportMetric(float64(frames)/float64(b.N), "frames/op")
}
