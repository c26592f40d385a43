package vmmtest

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"aegis/internal/vmm"
	"aegis/internal/vmm/vmmtest/guest"
)

// control is the host's end of a stream that package guest serves.
type control struct {
	s    *suite
	conn *net.UnixConn
	in   *bufio.Reader
}

// take takes a port. The control port first says "ready".
func (s *suite) take(vm vmm.VM, port vmm.Port) *control {
	s.Helper()
	conn, err := vm.Channel(s.Context(), port)
	if err != nil {
		s.Fatal(err)
	}
	s.conns = append(s.conns, conn)
	s.Cleanup(func() { conn.Close() }) // for a test that ends early
	conn.SetDeadline(time.Now().Add(patience))
	return &control{s, conn, bufio.NewReader(conn)}
}

// ready boots an ordinary VM and waits for its guest.
func (s *suite) ready() (*booted, *control) {
	s.Helper()
	vm := s.boot(s.config())
	c := s.take(vm, vmm.PortControl)
	c.expect("ready")
	return vm, c
}

func (c *control) send(format string, args ...any) {
	c.s.Helper()
	if _, err := fmt.Fprintf(c.conn, format+"\n", args...); err != nil {
		c.s.Fatal(err)
	}
}

func (c *control) line() string {
	c.s.Helper()
	line, err := c.in.ReadString('\n')
	if err != nil {
		c.s.Fatalf("read a line: %v", err)
	}
	return strings.TrimSuffix(line, "\n")
}

func (c *control) expect(want string) {
	c.s.Helper()
	if got := c.line(); got != want {
		c.s.Fatalf("the guest says %q, not %q", got, want)
	}
}

// ask sends a command and gives the line that answers.
func (c *control) ask(command string) string {
	c.s.Helper()
	c.send("%s", command)
	return c.line()
}

// echo sends n bytes and wants the same back, both at once.
func (c *control) echo(n int) {
	c.s.Helper()
	if err := c.echoes(n); err != nil {
		c.s.Fatal(err)
	}
}

// echoes is echo for any goroutine.
func (c *control) echoes(n int) error {
	if _, err := fmt.Fprintf(c.conn, "echo %d\n", n); err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() {
		_, err := io.CopyN(c.conn, guest.Stream(7), int64(n))
		failed <- err
	}()
	return errors.Join(c.read(7, n), <-failed)
}

// sum sends n bytes and wants their SHA-256.
func (c *control) sum(n int) {
	c.s.Helper()
	c.send("sum %d", n)
	h := sha256.New()
	if _, err := io.CopyN(c.conn, io.TeeReader(guest.Stream(9), h), int64(n)); err != nil {
		c.s.Fatal(err)
	}
	c.expect(hex.EncodeToString(h.Sum(nil)))
}

// expectStream reads the first n bytes of a stream.
func (c *control) expectStream(seed uint64, n int) {
	c.s.Helper()
	if err := c.read(seed, n); err != nil {
		c.s.Fatal(err)
	}
}

// read is expectStream for any goroutine.
func (c *control) read(seed uint64, n int) error {
	want, got := make([]byte, n), make([]byte, n)
	io.ReadFull(guest.Stream(seed), want)
	if read, err := io.ReadFull(c.in, got); err != nil || !bytes.Equal(got, want) {
		return fmt.Errorf("of %d bytes %d came (%v) and they differ: %v", n, read, err, !bytes.Equal(got, want))
	}
	return nil
}
