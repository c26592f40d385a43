//go:build linux

package harness

import (
	"bufio"
	"io"
	"os"
	"sync"
	"time"

	"github.com/libp2p/go-yamux/v5"

	"aegis/internal/fault"
	"aegis/internal/tree"
	"aegis/internal/wire"
)

// maxCopies bounds how many copies run at once.
const maxCopies = 16

// copyEnd is how long the copies may take to end when the guest shuts down: they
// hold files open on disks that are to be unmounted.
const copyEnd = 2 * time.Second

// copies are the copies under way.
type copies struct {
	mu      sync.Mutex
	streams map[*yamux.Stream]chan struct{} // closed when it has ended
	closed  bool
}

// begin makes room for one; end is to be called after it.
func (c *copies) begin(stream *yamux.Stream) (end func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, fault.New(fault.WrongState, "", "", "the guest is shutting down")
	}
	if len(c.streams) >= maxCopies {
		return nil, fault.New(fault.Internal, "", "", "%d copies are under way, and no more may be", maxCopies)
	}
	if c.streams == nil {
		c.streams = map[*yamux.Stream]chan struct{}{}
	}
	done := make(chan struct{})
	c.streams[stream] = done
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.streams, stream)
		close(done)
	}, nil
}

// close cancels what is under way, and waits for its end, but not for ever.
func (c *copies) close() {
	c.mu.Lock()
	c.closed = true
	var ends []chan struct{}
	for stream, done := range c.streams {
		stream.Reset()
		ends = append(ends, done)
	}
	c.mu.Unlock()
	limit := time.After(copyEnd)
	for _, done := range ends {
		select {
		case <-done:
		case <-limit:
			say("shut down: a copy does not end")
			return
		}
	}
}

// in puts a tar stream of the host's into the root, as root: the host decides. What
// is made belongs to user, unless the owners are to be kept.
func (c *copies) in(stream *yamux.Stream, req wire.CopyIn, known *accounts, user string) error {
	end, err := c.begin(stream)
	if err != nil {
		return err
	}
	defer end()
	owner := func(uid, gid int) (int, int) { return uid, gid }
	if !req.Keep {
		who, err := known.find(user, "/etc/passwd", "/etc/group")
		if err != nil {
			return err
		}
		owner = func(int, int) (int, int) { return int(who.uid), int(who.gid) }
	}
	dir, as, err := tree.Place(tree.Parse(string(req.Path), "/"), string(req.Top), req.Dir, look)
	if err != nil {
		return err
	}
	root, err := openRoot(dir)
	if err != nil {
		return err
	}
	if err := wire.WriteMessage(stream, wire.Reply{}, wire.MaxReply); err != nil {
		root.Close()
		return nil
	}
	target := func(bool) (*os.Root, string, error) { return root, as, nil }
	from := wire.NewTarReader(bufio.NewReaderSize(stream, 32<<10))
	err = tree.Unpack(from, target, tree.Options{Top: string(req.Top), Owner: owner})
	root.Close() // where the stream had no entry
	return copied(stream, wire.Copied{}, err)
}

// out sends files to the host.
func (c *copies) out(stream *yamux.Stream, req wire.CopyOut) error {
	end, err := c.begin(stream)
	if err != nil {
		return err
	}
	defer end()
	p := tree.Parse(string(req.Path), "/")
	dir, name, err := tree.Pick(p, req.Follow, look)
	if err != nil {
		return err
	}
	root, err := openRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if _, err := root.Lstat(name); err != nil {
		return fault.New(fault.File, p.Clean, "", "%q is not there", p.Clean)
	}
	if err := wire.WriteMessage(stream, wire.Reply{}, wire.MaxReply); err != nil {
		return nil
	}
	to := wire.NewTarWriter(stream)
	left, err := tree.Pack(to, root, name, p.Top())
	if err == nil {
		err = to.Flush()
	}
	return copied(stream, wire.Copied{Left: left}, err)
}

// copied is the last frame. The host that has gone reads none.
func copied(stream *yamux.Stream, last wire.Copied, err error) error {
	if err != nil {
		last.Error = refusal(err)
	}
	wire.WriteCopied(stream, last)
	if err != nil { // the host may go on to send: it stops when it has read why
		stream.SetReadDeadline(time.Now().Add(copyEnd))
		io.Copy(io.Discard, stream)
	}
	return nil
}
