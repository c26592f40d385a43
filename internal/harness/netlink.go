//go:build linux

package harness

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// netlink is a socket on which the kernel is told of addresses and routes
// (rtnetlink(7)): images need not have the ip program.
type netlink struct {
	fd  int
	seq uint32
}

func openNetlink() (*netlink, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket: %w", err)
	}
	return &netlink{fd: fd}, nil
}

func (n *netlink) close() { unix.Close(n.fd) }

// attr is a netlink attribute, padded to four bytes.
func attr(kind uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = append(binary.NativeEndian.AppendUint16(b, kind), value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func u32(v int) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(v)) }

// send makes one request and waits for the kernel's answer.
func (n *netlink) send(kind, flags uint16, body ...[]byte) error {
	n.seq++
	m := make([]byte, unix.NLMSG_HDRLEN)
	for _, b := range body {
		m = append(m, b...)
	}
	binary.NativeEndian.PutUint32(m[0:], uint32(len(m)))
	binary.NativeEndian.PutUint16(m[4:], kind)
	binary.NativeEndian.PutUint16(m[6:], flags|unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	binary.NativeEndian.PutUint32(m[8:], n.seq)
	if err := unix.Sendto(n.fd, m, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	buf := make([]byte, 8<<10)
	size, _, err := unix.Recvfrom(n.fd, buf, 0)
	if err != nil {
		return err
	}
	answers, err := syscall.ParseNetlinkMessage(buf[:size])
	if err != nil {
		return err
	}
	for _, a := range answers {
		if a.Header.Type == unix.NLMSG_ERROR && a.Header.Seq == n.seq && len(a.Data) >= 4 {
			if code := int32(binary.NativeEndian.Uint32(a.Data)); code != 0 {
				return syscall.Errno(-code)
			}
			return nil
		}
	}
	return errors.New("the kernel does not answer")
}

// link sets a device's hardware address and MTU and brings it up.
func (n *netlink) link(index int, mac net.HardwareAddr, mtu int) error {
	if err := n.change(index, 0, 0, attr(unix.IFLA_ADDRESS, mac), attr(unix.IFLA_MTU, u32(mtu))); err != nil {
		return err
	}
	return n.change(index, unix.IFF_UP, unix.IFF_UP)
}

// down undoes link's last step.
func (n *netlink) down(index int) error { return n.change(index, 0, unix.IFF_UP) }

// change sets those flags of a device that mask has, and attributes.
func (n *netlink) change(index int, flags, mask uint32, attrs ...[]byte) error {
	head := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(head[4:], uint32(index))
	binary.NativeEndian.PutUint32(head[8:], flags)
	binary.NativeEndian.PutUint32(head[12:], mask)
	return n.send(unix.RTM_NEWLINK, 0, append([][]byte{head}, attrs...)...)
}

func family(a netip.Addr) byte {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// address adds an address that is there at once, since nobody else can have it.
func (n *netlink) address(index int, p netip.Prefix) error {
	return n.send(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, about(index, p)...)
}

// noAddress undoes address.
func (n *netlink) noAddress(index int, p netip.Prefix) error {
	return n.send(unix.RTM_DELADDR, 0, about(index, p)...)
}

func about(index int, p netip.Prefix) [][]byte {
	head := []byte{family(p.Addr()), byte(p.Bits()), unix.IFA_F_NODAD | unix.IFA_F_PERMANENT, unix.RT_SCOPE_UNIVERSE}
	a := p.Addr().AsSlice()
	return [][]byte{append(head, u32(index)...), attr(unix.IFA_LOCAL, a), attr(unix.IFA_ADDRESS, a)}
}

// route makes a gateway the way to everything of its family.
func (n *netlink) route(index int, gateway netip.Addr) error {
	return n.routeIn(unix.RT_TABLE_MAIN, index, gateway)
}

// routeIn is route in a table of its own.
func (n *netlink) routeIn(table byte, index int, gateway netip.Addr) error {
	head := make([]byte, unix.SizeofRtMsg)
	head[0] = family(gateway)
	head[4], head[5], head[6], head[7] = table, unix.RTPROT_STATIC, unix.RT_SCOPE_UNIVERSE, unix.RTN_UNICAST
	return n.send(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, head,
		attr(unix.RTA_GATEWAY, gateway.AsSlice()), attr(unix.RTA_OIF, u32(index)))
}
