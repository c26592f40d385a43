package broker

import (
	"context"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"

	"aegis/internal/egress"
	"aegis/internal/resolve"
)

// NewServer is a server that dials on this host and resolves as it does.
func NewServer(policy *egress.Policy, host *resolve.Host) *Server {
	return &Server{Policy: policy, Lookup: host.Lookup, Own: own, Dial: dialHost}
}

// dialHost makes a connected socket. Keep-alive is the guest's affair.
func dialHost(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
	if network == "icmp" {
		return dialPing(to.Addr())
	}
	d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: false}, KeepAlive: -1}
	return d.DialContext(ctx, network, to.String())
}

// dialPing makes an unprivileged socket for echo requests, where the host allows it
// (icmp(7), ping_group_range).
func dialPing(to netip.Addr) (net.Conn, error) {
	family, proto := unix.AF_INET, unix.IPPROTO_ICMP
	var at unix.Sockaddr = &unix.SockaddrInet4{}
	if to.Is4() {
		at = &unix.SockaddrInet4{Addr: to.As4()}
	} else {
		family, proto = unix.AF_INET6, unix.IPPROTO_ICMPV6
		at = &unix.SockaddrInet6{Addr: to.As16()}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM, proto)
	if err != nil {
		return nil, err
	}
	unix.CloseOnExec(fd)
	f := os.NewFile(uintptr(fd), "ping")
	defer f.Close()
	if err := unix.Connect(fd, at); err != nil {
		return nil, err
	}
	return net.FileConn(f)
}

// HasIPv6 reports whether this host has a way to public addresses of IPv6. Nothing
// is sent: a datagram socket is only connected.
func HasIPv6() bool {
	conn, err := net.Dial("udp6", "[2600::]:9")
	if err != nil {
		return false
	}
	conn.Close()
	return true
}
