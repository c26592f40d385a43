package shim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"aegis/internal/confine"
	"aegis/internal/netstack"
	"aegis/internal/shim/broker"
)

// ipv6Flag is the one argument of `aegis-shim net` besides the rung and the guest's
// hardware address.
const ipv6Flag = "--ipv6"

// startNet starts the helper that is the guest's network, and gives the shim's end of
// the broker's socket.
func startNet(mac net.HardwareAddr, ipv6 bool, rung confine.Rung, channel *net.UnixConn) (*helper, *net.UnixConn, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make the broker's socket: %w", err)
	}
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	theirs, ours := os.NewFile(uintptr(fds[0]), "broker"), os.NewFile(uintptr(fds[1]), "broker")
	defer theirs.Close()
	defer ours.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, nil, fmt.Errorf("use the broker's socket: %w", err)
	}
	args := []string{mac.String()}
	if ipv6 {
		args = append(args, ipv6Flag)
	}
	h, err := startHelper("the network", "net", rung, confine.Nobody, args, channel, theirs)
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return h, conn.(*net.UnixConn), nil
}

// netMain is the network helper: it parses the guest's frames and has nothing but
// its three descriptors, and the sockets that the shim passes it.
func netMain(args []string) error {
	rung, args := helperArgs(args)
	ctx, channel, own, err := helperMain("broker")
	if err != nil {
		return err
	}
	if len(args) == 0 {
		return errors.New("no hardware address")
	}
	mac, err := net.ParseMAC(args[0])
	if err != nil {
		return err
	}
	conn, err := net.FileConn(own)
	if err != nil {
		return fmt.Errorf("take the broker's socket: %w", err)
	}
	own.Close()
	if _, err := confine.Enter(rung, confine.Room{Calls: confine.Frames}); err != nil {
		return err
	}
	client := broker.NewClient(conn.(*net.UnixConn))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // without the shim there is no network
		client.Run()
		cancel()
	}()
	cfg := netstack.Config{MAC: mac, IPv6: slices.Contains(args, ipv6Flag), Dialer: client, Resolver: client, Counters: &netstack.Counters{}, Arrivals: client.Arrivals()}
	debug.SetMemoryLimit(netstack.MemoryLimit)
	go countOut(ctx, client, cfg.Counters)
	return netstack.Serve(ctx, channel, cfg)
}

// countEvery is how often the helper tells its counters, when they have changed: as
// often as the shim looks at the guest's processor time.
const countEvery = sampleEvery

func countOut(ctx context.Context, client *broker.Client, c *netstack.Counters) {
	ticker := time.NewTicker(countEvery)
	defer ticker.Stop()
	var last broker.Counts
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := broker.Counts{Sent: c.Sent.Load(), Received: c.Received.Load(), Served: c.Served.Load(), Asked: c.Asked.Load(), Queries: c.Queries.Load(), Dropped: c.Dropped.Load()}
		if now != last && client.Count(now) != nil {
			return
		}
		last = now
	}
}
