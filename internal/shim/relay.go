package shim

import (
	"encoding/json"
	"io"
	"net"

	"aegis/internal/guest"
	"aegis/internal/wire"
)

// outputs are the log's copies of a process's two streams.
type outputs struct{ stdout, stderr io.WriteCloser }

func (r *run) outputs(exec string) outputs {
	return outputs{r.log.Stream("stdout", exec), r.log.Stream("stderr", exec)}
}

func (o outputs) close() {
	o.stdout.Close()
	o.stderr.Close()
}

// relayOutput passes a process's frames to the log and to the client, if there is
// one, until its exit. A slow client holds back the process; one that has gone
// does not: the process goes on if it stays, and else that is the end. It reports
// false when there was no exit.
func (r *run) relayOutput(process *guest.Process, out outputs, client net.Conn, stays bool) (wire.Exit, bool) {
	defer r.relaying()()
	for {
		kind, payload, err := process.Next()
		if err != nil {
			return wire.Exit{}, false
		}
		var exit wire.Exit
		switch kind {
		case wire.FrameStdout:
			out.stdout.Write(payload)
		case wire.FrameStderr:
			out.stderr.Write(payload)
		case wire.FrameExit:
			if exit, err = wire.ParseExit(payload); err != nil {
				return wire.Exit{}, false
			}
			payload, _ = json.Marshal(exit) // ours, not the guest's spelling
		}
		if client != nil && wire.WriteFrame(client, kind, payload) != nil {
			client = nil
			if kind != wire.FrameExit && !stays {
				return wire.Exit{}, false
			}
		}
		if kind == wire.FrameExit {
			return exit, true
		}
	}
}

// relayInput passes the client's frames to a process. When the client goes away
// the process ends with it, unless it stays: then it goes on without input.
func relayInput(client net.Conn, process *guest.Process, stays bool) {
	frames := wire.NewFrameReader(client)
	for {
		kind, payload, err := frames.Next()
		if err != nil {
			break
		}
		if process.Send(kind, payload) != nil {
			return
		}
	}
	if stays {
		process.Send(wire.FrameStdinEOF, nil)
		return
	}
	process.Cancel()
}

// halfCloser is a connection each of whose directions ends on its own.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

// join copies both ways until both directions have ended. One that fails does not
// cut the other short: an answer may come from an app that no longer listens.
func join(a, b halfCloser) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		pump(a, b)
	}()
	pump(b, a)
	<-done
}

// pump copies one direction, and passes its end on.
func pump(dst, src halfCloser) {
	io.Copy(dst, src)
	dst.CloseWrite()
}
