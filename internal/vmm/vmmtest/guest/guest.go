// Package guest is what the guest of the backends' contract does: it answers one
// command a line on its control stream. The init program of a real VM and the
// hook of the in-memory backend both serve it, so that one suite tests both.
// Only tests use it.
package guest

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Machine is what the guest can do to itself.
type Machine struct {
	PowerOff func()
	Panic    func()

	// ReadDisk gives the first n bytes of the disk with a serial number.
	ReadDisk func(serial string, n int) ([]byte, error)
	// WriteDisk writes at the disk's start, to the medium.
	WriteDisk func(serial string, data []byte) error
	// DropDisk forgets what was read of a disk, and gives its size in bytes.
	DropDisk func(serial string) (int64, error)

	// Frames begins to send every Ethernet frame of FrameType back to its sender.
	Frames func() error

	// Remember keeps a word in memory, Recall gives it.
	Remember func(word string)
	Recall   func() string
}

// FrameType is the EtherType of the suite's frames (IEEE 802, for local experiments).
const FrameType = 0x88b5

// Serve answers commands until the stream ends:
//
//	hello          → "hello\n"
//	clock          → monotonic nanoseconds in decimal and a line feed
//	echo N         ← N bytes → the same N bytes, as they come
//	sum N          ← N bytes → their SHA-256 in hexadecimal and a line feed
//	make N         → N bytes of Stream
//	read SERIAL    → the first 16 bytes of a disk in hexadecimal, or "error …"
//	write SERIAL X → "ok" or "error …"
//	drop SERIAL    → the disk's size in bytes, decimal, or "error …"
//	frames         → "ok" or "error …"
//	remember X     → "ok"
//	recall         → X
//	poweroff, panic
func Serve(rw io.ReadWriter, m Machine) error {
	in := bufio.NewReaderSize(rw, 64<<10)
	start := time.Now()
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		arg := func(i int) string {
			if i < len(words) {
				return words[i]
			}
			return ""
		}
		n, _ := strconv.ParseInt(arg(1), 10, 64)
		switch words[0] {
		case "hello":
			_, err = io.WriteString(rw, "hello\n")
		case "clock":
			_, err = fmt.Fprintln(rw, time.Since(start).Nanoseconds())
		case "echo":
			_, err = io.CopyN(rw, in, n)
		case "sum":
			h := sha256.New()
			if _, err = io.CopyN(h, in, n); err == nil {
				_, err = fmt.Fprintf(rw, "%x\n", h.Sum(nil))
			}
		case "make":
			_, err = io.CopyN(rw, Stream(uint64(n)), n)
		case "read":
			_, err = fmt.Fprintln(rw, m.read(arg(1)))
		case "write":
			_, err = fmt.Fprintln(rw, verdict(m.WriteDisk(arg(1), []byte(arg(2)))))
		case "drop", "frames", "remember", "recall":
			_, err = fmt.Fprintln(rw, m.state(words[0], arg(1)))
		case "poweroff":
			m.PowerOff()
		case "panic":
			m.Panic()
		default:
			_, err = fmt.Fprintf(rw, "error: no command %q\n", words[0])
		}
		if err != nil {
			return err
		}
	}
}

// state answers the commands of templates.
func (m Machine) state(command, arg string) string {
	switch command {
	case "drop":
		size, err := m.DropDisk(arg)
		if err != nil {
			return verdict(err)
		}
		return strconv.FormatInt(size, 10)
	case "frames":
		return verdict(m.Frames())
	case "remember":
		m.Remember(arg)
		return verdict(nil)
	}
	return m.Recall()
}

func (m Machine) read(serial string) string {
	data, err := m.ReadDisk(serial, 16)
	if err != nil {
		return verdict(err)
	}
	return hex.EncodeToString(data)
}

func verdict(err error) string {
	if err != nil {
		return "error: " + err.Error()
	}
	return "ok"
}

// Stream is an endless stream of bytes that seed decides.
func Stream(seed uint64) io.Reader {
	return rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
}
