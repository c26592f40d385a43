package shim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"aegis/internal/fault"
	"aegis/internal/instance"
	"aegis/internal/paths"
	"aegis/internal/wire"
)

// Client is the daemon's view of one run. Its methods may be called by several
// goroutines at once. Every call ends when its ctx does or the run has ended.
type Client struct {
	dir     paths.Run
	watch   net.Conn
	pid     int
	reports chan instance.Report
	ended   chan struct{} // closed before reports
	exit    instance.Exit // constant once ended is closed
}

// connectTimeout bounds the first answer of a shim: one that is slower hangs.
const connectTimeout = 5 * time.Second

// Connect begins to watch the run in dir. A run whose shim is gone is an error.
func Connect(ctx context.Context, dir paths.Run) (*Client, instance.RunStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	c := &Client{dir: dir, reports: make(chan instance.Report, 1), ended: make(chan struct{})}
	conn, rep, err := c.call(ctx, request{Op: opWatch})
	if err != nil {
		return nil, instance.RunStatus{}, fmt.Errorf("reach the shim: %w", err)
	}
	if rep.Status == nil {
		conn.Close()
		return nil, instance.RunStatus{}, fault.New(fault.Version, "", "reach the shim", "it did not say how its run is")
	}
	c.watch, c.pid = conn, rep.Status.PID
	go c.listen()
	return c, *rep.Status, nil
}

// Adopt connects to the run of an earlier daemon. An error means that nothing of
// the run lives: a shim that hangs is killed, and its monitor and helper with it.
func Adopt(ctx context.Context, dir paths.Run) (*Client, instance.RunStatus, error) {
	c, status, err := Connect(ctx, dir)
	if err == nil {
		return c, status, nil
	}
	conn, dialErr := net.DialTimeout("unix", dir.Socket(), time.Second)
	if dialErr != nil {
		return nil, status, err // nobody listens: the shim is dead
	}
	defer conn.Close()
	if _, pid, peerErr := peer(conn.(*net.UnixConn)); peerErr == nil && pid > 1 {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	return nil, status, fault.New(fault.Timeout, "", "reach the shim", "its shim did not answer and was killed: %w", err)
}

// Reports tells what happens in the run. It is closed at its end; a receiver that
// lags misses repetitions only, and leases that a later one replaced. Then Exit is valid.
func (c *Client) Reports() <-chan instance.Report { return c.reports }

// Exit is how the run ended. Call it only after Reports was closed.
func (c *Client) Exit() instance.Exit { return c.exit }

// PID is the shim's.
func (c *Client) PID() int { return c.pid }

// Leave stops watching; the run goes on.
func (c *Client) Leave() { c.watch.Close() }

// listen passes reports on until the run has ended. A receiver that lags holds back
// neither the shim nor the exit.
func (c *Client) listen() {
	defer close(c.reports)
	untold := newNews()
	go c.hear(untold)
	for {
		select {
		case <-c.ended:
			return
		case <-untold.some:
		}
		for _, report := range untold.take() {
			select {
			case c.reports <- report:
			case <-c.ended:
				return
			}
		}
	}
}

// hear reads what the shim tells, to the exit.
func (c *Client) hear(untold *news) {
	defer close(c.ended)
	defer c.watch.Close()
	for {
		var report instance.Report
		if err := wire.ReadMessage(c.watch, &report, maxMessage); err != nil {
			c.exit = c.aftermath()
			return
		}
		if report.Exit != nil {
			c.exit = *report.Exit
			return
		}
		untold.add(report)
	}
}

// aftermath is the exit of a run whose shim did not tell it.
func (c *Client) aftermath() instance.Exit {
	if exit, ok := ReadExit(c.dir); ok {
		return exit
	}
	return instance.Exit{Reason: instance.VMDied, At: time.Now().UTC(),
		Error: "its shim ended without a word" + lastWords(c.dir)}
}

// call opens a connection, sends req and reads the reply; the connection stays
// open for what follows. A cancelled ctx closes it.
func (c *Client) call(ctx context.Context, req request) (*net.UnixConn, reply, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", c.dir.Socket())
	if err != nil {
		return nil, reply{}, gone(ctx, err)
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	var rep reply
	if err = wire.WriteMessage(conn, req, maxMessage); err == nil {
		err = wire.ReadMessage(conn, &rep, maxMessage)
	}
	if !stop() && err == nil {
		err = ctx.Err()
	}
	switch {
	case err != nil:
		conn.Close()
		return nil, reply{}, gone(ctx, err)
	case rep.Error != nil:
		conn.Close()
		return nil, reply{}, &fault.Error{Kind: rep.Error.Kind, Why: rep.Error.Why}
	}
	return conn.(*net.UnixConn), rep, nil
}

// lost is that a shim does not answer.
type lost struct{ error }

func (l lost) Unwrap() error { return l.error }

// gone says what it means that a shim does not answer.
func gone(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return lost{fault.New(fault.WrongState, "", "reach the VM", "it has ended or is ending: %w", err)}
}

// do is a call with nothing after the reply.
func (c *Client) do(ctx context.Context, req request) (reply, error) {
	conn, rep, err := c.call(ctx, req)
	if err == nil {
		conn.Close()
	}
	return rep, err
}

// Start runs the command. It returns when the harness has acknowledged it; any
// error means that the VM is gone. When boots.Attached, the connection carries
// the command's frames (package wire) and the caller closes it; else it is nil.
func (c *Client) Start(ctx context.Context, boots instance.Boots) (*net.UnixConn, wire.Stages, error) {
	conn, rep, err := c.call(ctx, request{Op: opStart, Boots: &boots})
	if err != nil {
		return nil, nil, c.unstarted(ctx, err)
	}
	if !boots.Attached {
		conn.Close()
		return nil, rep.Stages, nil
	}
	return conn, rep.Stages, nil
}

// unstarted is why a start failed. A boot can fail before the shim was asked to
// start anything; its exit says why.
func (c *Client) unstarted(ctx context.Context, err error) error {
	if !errors.As(err, new(lost)) {
		return err
	}
	select {
	case <-c.ended:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(connectTimeout): // it lives; the fault is ours
		return err
	}
	if c.exit.Reason != instance.BootFailed {
		return err
	}
	return fault.New(fault.BootFailed, "", "boot the VM", "%s", c.exit.Error)
}

// Exec runs one more process; the connection carries its frames. Closing it ends
// the process.
func (c *Client) Exec(ctx context.Context, process wire.Process) (*net.UnixConn, error) {
	conn, _, err := c.call(ctx, request{Op: opExec, Exec: &process})
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// Dial connects to a port on the guest's loopback, waiting for it to listen.
func (c *Client) Dial(ctx context.Context, port uint16, wait time.Duration) (*net.UnixConn, error) {
	conn, _, err := c.call(ctx, request{Op: opDial, Dial: &wire.Dial{Port: port, Wait: wait}})
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// Pause stops the VM's processors; Resume lets them go on. Both are idempotent.
func (c *Client) Pause(ctx context.Context) error {
	_, err := c.do(ctx, request{Op: opPause})
	return err
}

// Resume undoes Pause.
func (c *Client) Resume(ctx context.Context) error {
	_, err := c.do(ctx, request{Op: opResume})
	return err
}

// Stop ends the run: SIGTERM, grace, SIGKILL, disks synchronized. It returns when
// the VM is gone. reason is what the exit will say.
func (c *Client) Stop(ctx context.Context, grace time.Duration, reason string) error {
	_, err := c.do(ctx, request{Op: opStop, Stop: &stopRequest{Grace: grace, Reason: reason}})
	return err
}

// Kill ends the run at once; a shim that does not obey is killed, and its monitor
// and helper with it. reason is what the exit will say.
func (c *Client) Kill(ctx context.Context, reason string) error {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if _, err := c.do(ctx, request{Op: opKill, Stop: &stopRequest{Reason: reason}}); err == nil || ctx.Err() == nil {
		return nil // done, or it was gone already
	}
	return syscall.Kill(c.pid, syscall.SIGKILL)
}

// Stats measures the run's processes.
func (c *Client) Stats(ctx context.Context) (instance.RunStats, error) {
	rep, err := c.do(ctx, request{Op: opStats})
	if err != nil || rep.Stats == nil {
		return instance.RunStats{}, err
	}
	return *rep.Stats, nil
}
