package shim

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/libp2p/go-yamux/v5"

	"aegis/internal/instance"
	"aegis/internal/paths"
	"aegis/internal/vmm"
	"aegis/internal/vmm/fake"
	"aegis/internal/wire"
)

// TestMain is a helper when a run starts one of its own executable.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "fs" || os.Args[1] == "net") {
		os.Exit(Main(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// patience bounds every wait of these tests.
const patience = 20 * time.Second

// operation answers one stream of a scripted guest.
type operation func(g *scripted, s *yamux.Stream, req wire.Request)

// script is what a guest does. What it leaves out is done as a good guest does it:
// it says hello, its command runs until the shutdown and ends by SIGTERM.
type script struct {
	boot func(ctx context.Context, control net.Conn, console io.Writer) error // instead of all
	on   map[wire.Op]operation

	unready *wire.Error          // what a preparation answers
	skew    func() time.Duration // of the host's clocks; nil: they go on
}

// scripted is one life of a guest.
type scripted struct {
	script  script
	console io.Writer
	off     chan error    // ends the VM: nil is a power-off
	term    chan struct{} // closed by the shutdown
	ram     *fake.RAM
	disk    *os.File // the one that can be replaced
}

func diskOf(cfg vmm.Config) *os.File {
	for _, d := range cfg.Disks {
		if d.Serial == instance.SerialDisk {
			return d.File
		}
	}
	return nil
}

func (s script) guest(ctx context.Context, ports map[string]net.Conn, console io.Writer, cfg vmm.Config) error {
	control := ports[vmm.PortControl.Name]
	if s.boot != nil {
		return s.boot(ctx, control, console)
	}
	g := &scripted{script: s, console: console, off: make(chan error, 8), term: make(chan struct{}), ram: fake.Memory(ctx), disk: diskOf(cfg)}
	go g.serve(control)
	select {
	case err := <-g.off:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (g *scripted) serve(control net.Conn) {
	if g.greet(control) != nil {
		return
	}
	cfg := yamux.DefaultConfig()
	cfg.EnableKeepAlive, cfg.LogOutput = false, io.Discard
	session, err := yamux.Server(control, cfg, nil)
	if err != nil {
		return
	}
	for {
		stream, err := session.AcceptStream()
		if err != nil {
			return
		}
		go g.answer(stream)
	}
}

// greet is the guest's part of a link's beginning, before and after a template.
func (g *scripted) greet(control net.Conn) error {
	ours := wire.Hello{Major: wire.Major, Version: "scripted"}
	if !g.ram.Restored() {
		var host wire.Hello
		err := errors.Join(wire.WriteMessage(control, ours, wire.MaxReply), wire.ReadMessage(control, &host, wire.MaxReply))
		if err != nil || host.Prepare == nil {
			return err
		}
		g.ram.Store([]byte("prepared"))
		var rep wire.Reply
		if g.script.unready != nil {
			rep.Error = g.script.unready
		}
		if err := wire.WriteMessage(control, rep, wire.MaxReply); err != nil {
			return err
		}
	}
	var host wire.Hello
	return errors.Join(wire.ReadMessage(control, &host, wire.MaxReply), wire.WriteMessage(control, ours, wire.MaxReply))
}

func (g *scripted) answer(s *yamux.Stream) {
	var req wire.Request
	if wire.ReadMessage(s, &req, wire.MaxRequest) != nil {
		return
	}
	if f := g.script.on[req.Op]; f != nil {
		f(g, s, req)
		return
	}
	tellHost(s, wire.Reply{})
	switch req.Op {
	case wire.OpRehearse:
		wire.WriteExit(s, wire.Exit{})
		tellHost(s, wire.Reply{})
	case wire.OpStart:
		<-g.term
		wire.WriteExit(s, wire.Exit{Signal: 15})
	case wire.OpShutdown:
		close(g.term)
		time.AfterFunc(50*time.Millisecond, func() { g.off <- nil }) // as a kernel that reboots
	}
}

func tellHost(s *yamux.Stream, r wire.Reply) { wire.WriteMessage(s, r, wire.MaxReply) }

// world is a run without its process, and the daemon's view of it.
type world struct {
	*run
	t      *testing.T
	client *Client
	over   chan struct{} // closed when live has returned
}

// begin lives a run with that guest.
func begin(t *testing.T, s script, set func(*instance.Launch)) *world {
	t.Helper()
	return beginAt(t, &fake.Backend{Guest: s.guest}, set, s.skew)
}

func beginWith(t *testing.T, backend vmm.Backend, set func(*instance.Launch)) *world {
	t.Helper()
	return beginAt(t, backend, set, nil)
}

func beginAt(t *testing.T, backend vmm.Backend, set func(*instance.Launch), skew func() time.Duration) *world {
	t.Helper()
	dir, err := os.MkdirTemp("", "shim") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	launch := instance.Launch{Run: "run-aaaaaaaaaaaa", RunDir: dir, Kernel: empty, Initrd: empty, Base: empty,
		CPUs: 1, Memory: 1 << 20, BootTimeout: patience,
		Assignment: &instance.Assignment{Instance: "inst-aaaaaaaaaaaa", LogDir: filepath.Join(dir, "log"), LogSize: 1 << 30, Disk: empty}}
	if set != nil {
		set(&launch)
	}
	w := &world{run: newRun(launch), t: t, over: make(chan struct{})}
	if skew != nil {
		w.run.skew = skew
	}
	if launch.Assignment != nil {
		if err := w.take(*launch.Assignment); err != nil {
			t.Fatal(err)
		}
	}
	l, err := listen(paths.Run{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	w.run.ops.Go(func() { w.run.serve(l) })
	client, _, err := Connect(t.Context(), w.dir) // before it lives: a run may be short
	go func() {
		defer close(w.over)
		w.run.live(backend)
		w.run.farewell(l)
	}()
	t.Cleanup(func() {
		go w.run.kill("test")
		w.await(w.over, "the end of the run")
	})
	if err != nil {
		t.Fatal(err)
	}
	w.client = client
	t.Cleanup(w.client.Leave)
	return w
}

// await fails when c is not closed in time.
func (w *world) await(c <-chan struct{}, what string) {
	w.t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		w.t.Fatalf("%s does not come", what)
	}
}

// start runs the command.
func (w *world) start(attached bool) (*net.UnixConn, error) {
	conn, _, err := w.client.Start(w.t.Context(), instance.Boots{
		Start: wire.Start{Main: wire.Process{ID: wire.MainID, Args: []string{"x"}}}, Attached: attached})
	if conn != nil {
		w.t.Cleanup(func() { conn.Close() })
		conn.SetDeadline(time.Now().Add(patience))
	}
	return conn, err
}

func (w *world) mustStart(attached bool) *net.UnixConn {
	w.t.Helper()
	conn, err := w.start(attached)
	if err != nil {
		w.t.Fatal(err)
	}
	return conn
}

// exit waits for the end of the run: what the watcher is told and what is on disk
// are the same.
func (w *world) exit() instance.Exit {
	w.t.Helper()
	w.await(w.over, "the end of the run")
	for range w.client.Reports() {
	}
	kept, ok := ReadExit(w.dir)
	if !ok || kept != w.client.Exit() {
		w.t.Errorf("exit.json has %+v (%t), the watcher was told %+v", kept, ok, w.client.Exit())
	}
	return kept
}
