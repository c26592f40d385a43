package shim

import (
	"bytes"
	"strings"
	"sync"
	"unicode"
)

// consoleSize is how much of the guest's console is kept: the end of a boot that
// failed, with some hundred lines before it.
const consoleSize = 64 << 10

// console keeps the last bytes that a guest printed. It never blocks its writer.
type console struct {
	mu  sync.Mutex
	buf []byte
}

// Write keeps the end of what was written.
func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.buf = append(c.buf, p...)
	if over := len(c.buf) - consoleSize; over > 0 {
		c.buf = append(c.buf[:0], c.buf[over:]...)
	}
	return len(p), nil
}

// Panicked reports whether the guest's kernel printed that it panicked, and its sentence.
func (c *console) Panicked() (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := bytes.LastIndex(c.buf, []byte("Kernel panic"))
	if at < 0 {
		return "", false
	}
	line, _, _ := bytes.Cut(c.buf[at:], []byte("\n"))
	return clean(line), true
}

// Tail is the last n lines without control characters, for a message.
func (c *console) Tail(n int) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var lines []string
	for line := range bytes.SplitSeq(c.buf, []byte("\n")) {
		if text := clean(line); text != "" {
			lines = append(lines, text)
		}
	}
	return lines[max(0, len(lines)-n):]
}

// clean makes a printable line of at most 300 bytes of what a guest wrote.
func clean(line []byte) string {
	text := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, string(line[:min(len(line), 300)]))
	return strings.TrimSpace(text)
}
