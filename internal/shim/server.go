package shim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"time"

	"aegis/internal/fault"
	"aegis/internal/guest"
	"aegis/internal/instance"
	"aegis/internal/wire"
)

// requestTimeout is how long a connection may take to say what it wants; a guest
// may take execTimeout to begin a process.
const (
	requestTimeout = 10 * time.Second
	execTimeout    = 30 * time.Second
)

// serve answers the daemon until the listener closes.
func (r *run) serve(l *net.UnixListener) {
	for {
		conn, err := l.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			slog.Warn("cannot accept a connection", "error", err)
			time.Sleep(10 * time.Millisecond)
			continue
		}
		r.ops.Go(func() { r.handle(conn) })
	}
}

// handle carries out one operation and closes its connection.
func (r *run) handle(conn *net.UnixConn) {
	defer conn.Close()
	if uid, _, err := peer(conn); err != nil || uid != os.Getuid() {
		slog.Warn("refused a connection", "uid", uid, "error", err)
		return
	}
	conn.SetReadDeadline(time.Now().Add(requestTimeout))
	var req request
	if err := wire.ReadMessage(conn, &req, maxMessage); err != nil {
		return
	}
	conn.SetReadDeadline(time.Time{})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if err := r.dispatch(ctx, conn, req); err != nil {
		answer(conn, reply{Error: toWire(err)})
	}
}

// dispatch answers the request itself, or returns an error before it has answered.
func (r *run) dispatch(ctx context.Context, conn *net.UnixConn, req request) error {
	switch {
	case req.Op == opWatch:
		return r.watch(conn)
	case req.Op == opStart && req.Boots != nil:
		return r.serveStart(ctx, conn, req.Boots)
	case req.Op == opExec && req.Exec != nil:
		return r.serveExec(ctx, conn, *req.Exec)
	case req.Op == opDial && req.Dial != nil:
		return r.serveDial(ctx, conn, *req.Dial)
	case req.Op == opCopyIn && req.CopyIn != nil, req.Op == opCopyOut && req.CopyOut != nil:
		return r.serveCopy(ctx, conn, req)
	case req.Op == opStop && req.Stop != nil:
		r.end(req.Stop.Grace, req.Stop.Reason)
		return answer(conn, reply{})
	case req.Op == opKill && req.Stop != nil:
		r.kill(req.Stop.Reason)
		return answer(conn, reply{})
	case req.Op == opStats:
		return r.serveStats(conn)
	case req.Op == opPause, req.Op == opResume:
		if err := r.freeze(ctx, req.Op == opPause); err != nil {
			return err
		}
		return answer(conn, reply{})
	}
	return fault.New(fault.Version, "", "answer the daemon", "operation %.20q is not known", req.Op)
}

func answer(conn net.Conn, rep reply) error {
	conn.SetWriteDeadline(time.Now().Add(requestTimeout))
	defer conn.SetWriteDeadline(time.Time{})
	return wire.WriteMessage(conn, rep, maxMessage)
}

// toWire keeps what the daemon may know of an error.
func toWire(err error) *wire.Error {
	f := fault.As(err)
	return &wire.Error{Kind: f.Kind, Why: f.Why}
}

// freeze stops or continues the VM's processors. After a pause the guest's clock
// is behind by its length, and is set.
func (r *run) freeze(ctx context.Context, pause bool) error {
	if err := r.reach(ctx); err != nil {
		return err
	}
	act := r.vm.Resume
	if pause {
		act = r.vm.Pause
	}
	if err := act(ctx); err != nil {
		return fmt.Errorf("pause or resume the VM: %w", err)
	}
	r.mu.Lock()
	woke := r.paused && !pause
	r.paused = pause
	r.mu.Unlock()
	if woke {
		go r.setClock()
	}
	return nil
}

// serveDial joins the connection to a port of the guest.
func (r *run) serveDial(ctx context.Context, conn *net.UnixConn, dial wire.Dial) error {
	if err := r.reach(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, dial.Wait+requestTimeout)
	defer cancel()
	if taken, err := r.enter(ctx, conn, dial.Port); taken || err != nil {
		return err
	}
	stream, err := r.link.Dial(ctx, dial.Port, dial.Wait)
	if err != nil {
		return err
	}
	defer stream.Close()
	if err := answer(conn, reply{}); err != nil {
		return nil
	}
	join(conn, r.network.metered(stream))
	return nil
}

// serveStats measures the run's processes.
func (r *run) serveStats(conn net.Conn) error {
	var stats instance.RunStats
	if isDone(r.booted) && r.vm != nil {
		stats.CPU, _ = cpuTime(r.vm.PID())
	}
	r.mu.Lock()
	gauges, network := slices.Clone(r.gauges), r.network
	r.mu.Unlock()
	for _, g := range gauges {
		stats.Memory = append(stats.Memory, g.size())
	}
	stats.Net = network.stats()
	return answer(conn, reply{Stats: &stats})
}

// serveExec runs one more process, for as long as its client stays.
func (r *run) serveExec(ctx context.Context, conn *net.UnixConn, spec wire.Process) error {
	if err := r.reach(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, execTimeout)
	defer cancel()
	process, err := r.link.Exec(ctx, spec)
	if err != nil {
		return err
	}
	defer process.Cancel()
	if err := answer(conn, reply{}); err != nil {
		return nil
	}
	out := r.outputs(spec.ID)
	defer out.close()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		relayInput(conn, process, false)
	}()
	r.relayOutput(process, out, conn, false)
	process.Cancel() // ends a Send that the guest does not take
	conn.CloseWrite()
	conn.SetReadDeadline(time.Now().Add(time.Second)) // the client closes once it has the exit
	<-gone
	return nil
}

// serveStart runs the instance's command. Attached, the connection is the
// command's stream; it may go away without hurting the command.
func (r *run) serveStart(ctx context.Context, conn *net.UnixConn, boots *instance.Boots) error {
	asked := time.Now()
	if err := r.claim(boots); err != nil {
		return err
	}
	boots.Start.Main.NoStdin = !boots.Attached
	process, stages, err := r.begun(ctx, boots)
	boots.Start = wire.Start{} // the environment may hold secrets
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.start = started
	stages = within(r.phases.since(asked), stages)
	r.mu.Unlock()
	go r.attend()
	told := r.relaying() // until it is known how the command ended
	if err := answer(conn, reply{Stages: stages}); err != nil || !boots.Attached {
		process.Send(wire.FrameStdinEOF, nil)
		go r.follow(process, nil, told)
		return nil
	}
	go relayInput(conn, process, true)
	r.follow(process, conn, told)
	return nil
}

// follow passes the command's output on until it ends, and then ends the VM. It calls
// told when it is known how the command ended.
func (r *run) follow(process *guest.Process, client *net.UnixConn, told func()) {
	defer told()
	out := r.outputs("")
	var to net.Conn // nil, not a nil *net.UnixConn, when nobody is attached
	if client != nil {
		to = client
	}
	exit, ok := r.relayOutput(process, out, to, true)
	out.close()
	if !ok {
		return // the VM is going or gone; its end says why
	}
	r.mu.Lock()
	r.main = &exit
	r.mu.Unlock()
	if client != nil {
		client.CloseWrite()
	}
	r.closing.Do(func() { go r.shutdown(0) })
}
