package shim

import "io"

// monitorLog is how much of what a monitor prints is kept, in bytes: a guest can
// make it print without end.
const monitorLog = 1 << 20

// capped passes the first bytes on and drops the rest, without an error.
type capped struct {
	w    io.Writer
	left int
}

// Write takes all of p, always.
func (c *capped) Write(p []byte) (int, error) {
	keep := p[:min(len(p), c.left)]
	c.left -= len(keep)
	if len(keep) > 0 {
		c.w.Write(keep)
	}
	return len(p), nil
}
