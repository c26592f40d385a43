//go:build linux

package harness

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"sync"
	"time"

	"github.com/libp2p/go-yamux/v5"

	"aegis/internal/fault"
	"aegis/internal/wire"
)

// Caps on what runs at once; the host asks for far less.
const (
	maxStreams   = 1024
	maxProcesses = 128
)

// machine is the VM around the processes: the real one, or a test's.
type machine interface {
	// prepare does what a start needs and no instance shapes.
	prepare(wire.Prepare) error
	// mount does the part of become that needs no instance, and calls programs while
	// nothing can be written; unmount lets go of its disk.
	mount(ahead wire.Ahead, programs func(*cgroups)) error
	unmount() error
	// become gives the VM its identity, disks and workspace; mark ends a stage. After
	// one that failed the VM is of no use.
	become(start wire.Start, rehearsal bool, mark func(stage string)) (*cgroups, error)
	// undo takes back what become did in a rehearsal.
	undo() error
	// reachable reports, after become, whether streams of the host's may come over the network.
	reachable() bool
	// setClock sets the wall clock.
	setClock(wire.Clock) error
	// stats reads the counters.
	stats() (wire.Stats, error)
	// stop ends every process of the user's and unmounts the disks.
	stop(how wire.Shutdown) error
	// off ends the VM.
	off(why string)
}

// server answers the host.
type server struct {
	reaper  *reaper
	machine machine
	spawner *spawner
	dialer  *dialer
	self    *self
	copies  copies
	slots   chan struct{} // one for each process
	stages  wire.Stages   // of the boot; Start's reply has them

	mu      sync.Mutex
	started bool
	closing bool
	with    *settings // set when the command was started
}

func newServer(r *reaper, m machine) *server {
	return &server{
		reaper:  r,
		machine: m,
		spawner: &spawner{reaper: r, accounts: accounts{settle: settleTime}},
		dialer:  newDialer(),
		self:    newSelf(""),
		slots:   make(chan struct{}, maxProcesses),
		stages:  wire.Stages{},
	}
}

// serve talks to the host until the link is gone, and returns why.
func (s *server) serve(channel net.Conn) string {
	if err := s.greet(channel); err != nil {
		return fmt.Sprintf("the host's hello: %v", err)
	}
	session, err := yamux.Server(newBatch(channel), muxConfig(), nil)
	if err != nil {
		return fmt.Sprintf("start the mux: %v", err)
	}
	defer session.Close()
	for {
		stream, err := session.AcceptStream()
		if err != nil {
			return fmt.Sprintf("the host is gone: %v", err)
		}
		go s.answer(stream)
	}
}

// muxConfig is the mirror of the host's: no keep-alive and no time-out, since the
// host freezes this machine for hours.
func muxConfig() *yamux.Config {
	return &yamux.Config{
		AcceptBacklog:           256,
		PingBacklog:             4,
		MeasureRTTInterval:      math.MaxInt64,
		ConnectionWriteTimeout:  24 * time.Hour,
		MaxIncomingStreams:      maxStreams,
		InitialStreamWindowSize: 256 << 10,
		MaxStreamWindowSize:     1 << 20,
		LogOutput:               io.Discard,
		ReadBufSize:             32 << 10,
		MaxMessageSize:          64 << 10,
	}
}

// answer serves one operation.
func (s *server) answer(stream *yamux.Stream) {
	defer endOnPanic()
	defer stream.Close()
	var req wire.Request
	if err := wire.ReadMessage(stream, &req, wire.MaxRequest); err != nil {
		stream.Reset()
		return
	}
	if err := s.dispatch(stream, req); err != nil {
		wire.WriteMessage(stream, wire.Reply{Error: refusal(err)}, wire.MaxReply)
	}
}

// dispatch runs an operation. An error is the reply; what follows a good reply
// reports nothing.
func (s *server) dispatch(stream *yamux.Stream, req wire.Request) error {
	switch {
	case req.Op == wire.OpStart && req.Start != nil:
		return s.start(stream, *req.Start)
	case req.Op == wire.OpRehearse && req.Start != nil:
		return s.rehearse(stream, *req.Start)
	case req.Op == wire.OpMount && req.Mount != nil:
		return s.ahead(stream, func() error { return s.mount(*req.Mount) })
	case req.Op == wire.OpUnmount:
		return s.ahead(stream, s.machine.unmount)
	case req.Op == wire.OpClock && req.Clock != nil:
		return done(stream, s.machine.setClock(*req.Clock))
	}
	with, err := s.ready()
	if err != nil {
		return err
	}
	switch {
	case req.Op == wire.OpExec && req.Exec != nil:
		return s.run(stream, *req.Exec, *with, nil)
	case req.Op == wire.OpDial && req.Dial != nil:
		return s.dialer.relay(stream, *req.Dial)
	case req.Op == wire.OpCopyIn && req.CopyIn != nil:
		return s.copies.in(stream, *req.CopyIn, &s.spawner.accounts, with.user)
	case req.Op == wire.OpCopyOut && req.CopyOut != nil:
		return s.copies.out(stream, *req.CopyOut)
	case req.Op == wire.OpWatch:
		return s.self.watch(stream)
	case req.Op == wire.OpStats:
		stats, err := s.machine.stats()
		if err != nil {
			return err
		}
		return wire.WriteMessage(stream, wire.Reply{Stats: &stats}, wire.MaxReply)
	case req.Op == wire.OpSync:
		syncDisks()
		return done(stream, nil)
	case req.Op == wire.OpShutdown && req.Shutdown != nil:
		return s.shutdown(stream, *req.Shutdown)
	}
	return fault.New(fault.Invalid, "", "", "the guest does not know operation %.40q", req.Op)
}

func done(stream io.Writer, err error) error {
	if err != nil {
		return err
	}
	return wire.WriteMessage(stream, wire.Reply{}, wire.MaxReply)
}

// ready refuses what comes before the start or after the shutdown.
func (s *server) ready() (*settings, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.with == nil {
		return nil, fault.New(fault.WrongState, "", "", "the guest was not started")
	}
	if s.closing {
		return nil, fault.New(fault.WrongState, "", "", "the guest is shutting down")
	}
	return s.with, nil
}

// start makes the VM the instance and runs its command. It fails closed: after an
// error there is no second try in this VM.
func (s *server) start(stream io.ReadWriter, start wire.Start) error {
	if err := s.claim(); err != nil {
		return err
	}
	start.Main.ID = wire.MainID
	mark := stopwatch(s.stages)
	with, err := s.play(start, false, mark)
	if err != nil {
		return err
	}
	return s.run(stream, start.Main, with, func(r *wire.Reply) {
		mark("command")
		s.mu.Lock()
		defer s.mu.Unlock()
		s.with = &with
		r.Stages, r.Ingress = s.stages, s.machine.reachable()
	})
}

// claim is had once, but for a rehearsal, which gives it back.
func (s *server) claim() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started {
		return fault.New(fault.WrongState, "", "", "the guest was started before")
	}
	s.started = true
	return nil
}

// stopwatch gives the time since the last call, or its own, to a stage.
func stopwatch(stages wire.Stages) func(stage string) {
	last := uptime()
	return func(stage string) {
		now := uptime()
		stages[stage], last = now-last, now
	}
}

// play makes the VM what start says, up to its command.
func (s *server) play(start wire.Start, rehearsal bool, mark func(string)) (settings, error) {
	groups, err := s.machine.become(start, rehearsal, mark)
	if err != nil {
		return settings{}, err
	}
	s.spawner.cgroups = groups
	if err := s.self.listen(start.Self); err != nil {
		say("make the instance's socket: %v", err)
	}
	return settings{hostname: start.Hostname, env: start.BaseEnv, dir: start.Main.Dir, user: start.Main.User}, nil
}

// run starts a process, replies and follows it.
func (s *server) run(stream io.ReadWriter, p wire.Process, with settings, started func(*wire.Reply)) error {
	select {
	case s.slots <- struct{}{}:
	default:
		return fault.New(fault.Internal, "", "", "%d processes of the host's run in the guest, and no more may", maxProcesses)
	}
	defer func() { <-s.slots }()
	c, err := s.spawner.spawn(p, with)
	if err != nil {
		return err
	}
	var reply wire.Reply
	if started != nil {
		started(&reply)
	}
	if err := wire.WriteMessage(stream, reply, wire.MaxReply); err != nil {
		say("reply to the start of process %q: %v", p.ID, err)
	}
	s.reaper.follow(stream, c, p.TTY)
	return nil
}

// shutdown ends the processes and the VM. The host reads the reply before the VM
// is gone: it closes the stream then.
func (s *server) shutdown(stream *yamux.Stream, req wire.Shutdown) error {
	s.mu.Lock()
	again := s.closing
	s.closing = true
	s.mu.Unlock()
	if again {
		return fault.New(fault.WrongState, "", "", "the guest is shutting down")
	}
	s.self.close()
	s.copies.close()
	if err := s.machine.stop(req); err != nil {
		say("shut down: %v", err)
		syncDisks() // the host may end the VM after the reply
	}
	s.drain(partTime)
	wire.WriteMessage(stream, wire.Reply{}, wire.MaxReply)
	stream.SetReadDeadline(time.Now().Add(partTime))
	io.Copy(io.Discard, stream)
	s.machine.off("the host asked for it")
	return nil
}

// partTime is how long the last output may take to reach the host, and the host
// to have read it.
const partTime = 5 * time.Second

// drain returns when every process's stream has ended, or after a time: taking
// all places means that nobody has one. They are not given back.
func (s *server) drain(limit time.Duration) {
	late := time.After(limit)
	for range cap(s.slots) {
		select {
		case s.slots <- struct{}{}:
		case <-late:
			return
		}
	}
}

// maxWhy keeps a reply far below wire.MaxReply.
const maxWhy = 1024

// refusal is an error as the host gets it.
func refusal(err error) *wire.Error {
	var e *fault.Error
	if !errors.As(err, &e) {
		e = &fault.Error{Kind: fault.Internal, Why: err.Error()}
	}
	why := e.Error()
	return &wire.Error{Kind: e.Kind, Why: why[:min(len(why), maxWhy)]}
}
