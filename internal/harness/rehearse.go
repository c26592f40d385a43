//go:build linux

package harness

import (
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"aegis/internal/fault"
	"aegis/internal/version"
	"aegis/internal/wire"
)

// greet is the first messages of the link. A host that wants a template has it
// prepared then, and greets again, from wherever the VM is restored: until it does,
// nothing is on its way in either direction.
func (s *server) greet(channel net.Conn) error {
	ours := wire.Hello{Major: wire.Major, Minor: wire.Minor, Version: version.Version}
	if err := wire.WriteMessage(channel, ours, wire.MaxReply); err != nil {
		return err
	}
	peer, err := heard(channel)
	if err != nil || peer.Prepare == nil {
		return err
	}
	var reply wire.Reply
	if err := s.prepare(*peer.Prepare); err != nil {
		reply.Error = refusal(err)
	}
	reply.Stages, s.stages = s.stages, wire.Stages{}
	if p, ok := channel.(*port); ok {
		p.forget()
	}
	if err := wire.WriteMessage(channel, reply, wire.MaxReply); err != nil {
		return err
	}
	if _, err := heard(channel); err != nil {
		return err
	}
	return wire.WriteMessage(channel, ours, wire.MaxReply)
}

// heard is the host's hello.
func heard(channel net.Conn) (wire.Hello, error) {
	var peer wire.Hello
	if err := wire.ReadMessage(channel, &peer, wire.MaxReply); err != nil {
		return peer, err
	}
	return peer, peer.Check()
}

// programTime bounds what a program of a preparation may take.
const programTime = 30 * time.Second

// prepare makes the VM one that a template can be made of.
func (s *server) prepare(p wire.Prepare) error {
	mark := stopwatch(s.stages)
	if err := s.machine.prepare(p); err != nil {
		return err
	}
	mark("base")
	network := p.Network
	if network != nil && network.TAP {
		network = nil
	}
	for _, args := range p.Programs {
		err := s.warm(wire.Start{
			Seed: p.Seed, Clock: wire.Clock{UnixNano: time.Now().UnixNano()},
			Hostname: "localhost", MachineID: strings.Repeat("0", 32),
			Root:    wire.Root{Base: p.Base, BaseType: p.BaseType},
			BaseEnv: warmEnv, Network: network,
			Main: wire.Process{ID: wire.MainID, Args: args, Dir: workspaceDir}, Workspace: &wire.Workspace{},
		})
		if err != nil {
			return err
		}
	}
	mark("programs")
	return nil
}

// warm runs a program for nobody, over memory in the place of a disk. One that can't
// be run is no error.
func (s *server) warm(start wire.Start) error {
	with, err := s.play(start, true, func(string) {})
	if err != nil {
		return err
	}
	s.perform(start.Main, with)
	return s.strike()
}

// perform runs a program that nobody follows, to its end.
func (s *server) perform(p wire.Process, with settings) {
	out := &nowhere{closed: make(chan struct{})}
	late := time.AfterFunc(programTime, out.close)
	s.run(out, p, with, nil)
	late.Stop()
	out.close()
}

// warmEnv keeps what is run for nobody from writing.
var warmEnv = map[string]string{"PYTHONDONTWRITEBYTECODE": "1"}

// mount has the machine do what can be done ahead, and runs programs over that: then
// their files have been looked up where they will be.
func (s *server) mount(m wire.Ahead) error {
	return s.machine.mount(m, func(groups *cgroups) {
		s.spawner.cgroups = groups
		for _, args := range m.Programs {
			s.perform(wire.Process{ID: wire.MainID, Args: args, Dir: "/"}, settings{hostname: "localhost", env: warmEnv})
		}
	})
}

// strike ends a rehearsal.
func (s *server) strike() error {
	s.self.close()
	return s.machine.undo()
}

// rehearse does what start would, to the end of the command, and undoes it. The last
// word on the stream is a Reply.
func (s *server) rehearse(stream io.ReadWriter, start wire.Start) error {
	if err := s.claim(); err != nil {
		return err
	}
	start.Main.ID = wire.MainID
	stages := wire.Stages{}
	mark := stopwatch(stages)
	with, err := s.play(start, true, mark)
	if err != nil {
		wire.WriteMessage(stream, wire.Reply{Error: refusal(err)}, wire.MaxReply)
		s.machine.off("a rehearsal failed")
		return nil
	}
	refused := s.run(stream, start.Main, with, func(r *wire.Reply) {
		mark("command")
		r.Stages = stages
	})
	if err := s.strike(); err != nil {
		wire.WriteMessage(stream, wire.Reply{Error: refusal(err)}, wire.MaxReply)
		s.machine.off("a rehearsal could not be undone")
		return nil
	}
	s.mu.Lock()
	s.started = false
	s.mu.Unlock()
	if refused != nil {
		return refused
	}
	return wire.WriteMessage(stream, wire.Reply{}, wire.MaxReply)
}

// ahead does what must come before the start. After an error, but that it was not to be
// done now, the VM is of no use.
func (s *server) ahead(stream io.Writer, do func() error) error {
	if err := s.claim(); err != nil {
		return err
	}
	err := do()
	if err != nil && !fault.Is(err, fault.WrongState) {
		wire.WriteMessage(stream, wire.Reply{Error: refusal(err)}, wire.MaxReply)
		s.machine.off("what comes before the start has failed")
		return nil
	}
	s.mu.Lock()
	s.started = false
	s.mu.Unlock()
	return done(stream, err)
}

// nowhere is the stream of a process that nobody follows: what it writes is lost, and
// its input never ends, until close.
type nowhere struct {
	closed chan struct{}
	once   sync.Once
}

func (n *nowhere) Write(p []byte) (int, error) { return len(p), nil }

func (n *nowhere) Read([]byte) (int, error) {
	<-n.closed
	return 0, io.EOF
}

func (n *nowhere) close() { n.once.Do(func() { close(n.closed) }) }
