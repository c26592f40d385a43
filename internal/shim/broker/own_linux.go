package broker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// own reports whether what is sent to an address stays on this host, by the kernel's
// own choice of a route at this moment (rtnetlink(7), RTM_GETROUTE): so are the addresses
// of the interfaces, and others that are routed to the host itself, as agents of clouds
// and balancers do with addresses that are forwarded to it.
func own(to netip.Addr) (bool, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, routeTo(to), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return false, err
	}
	buf := make([]byte, 4<<10)
	n, _, err := unix.Recvfrom(fd, buf, 0)
	if err != nil {
		return false, err
	}
	answers, err := syscall.ParseNetlinkMessage(buf[:n])
	if err != nil || len(answers) == 0 {
		return false, fmt.Errorf("ask for the route to %s: no answer that can be read", to)
	}
	return stays(answers[0])
}

// routeTo is the question for the route to an address.
func routeTo(to netip.Addr) []byte {
	family, addr := byte(unix.AF_INET), to.AsSlice()
	if to.Is6() {
		family = unix.AF_INET6
	}
	m := binary.NativeEndian.AppendUint32(nil, uint32(unix.NLMSG_HDRLEN+unix.SizeofRtMsg+4+len(addr)))
	m = binary.NativeEndian.AppendUint16(m, unix.RTM_GETROUTE)
	m = binary.NativeEndian.AppendUint16(m, unix.NLM_F_REQUEST)
	m = append(m, make([]byte, 8)...) // sequence and port: there is one question and one who asks
	m = append(m, family, byte(8*len(addr)))
	m = append(m, make([]byte, unix.SizeofRtMsg-2)...)
	m = binary.NativeEndian.AppendUint16(m, uint16(4+len(addr)))
	m = binary.NativeEndian.AppendUint16(m, unix.RTA_DST)
	return append(m, addr...)
}

// rtmType is where struct rtmsg has the kind of a route, in bytes.
const rtmType = 7

// stays reads the kernel's answer. Where it has no route, nothing is reached at all.
func stays(m syscall.NetlinkMessage) (bool, error) {
	switch {
	case m.Header.Type == unix.NLMSG_ERROR && len(m.Data) >= 4:
		err := syscall.Errno(-int32(binary.NativeEndian.Uint32(m.Data)))
		if slices.Contains([]syscall.Errno{unix.ENETUNREACH, unix.EHOSTUNREACH, unix.EACCES, unix.EINVAL}, err) {
			return false, nil
		}
		return false, err
	case m.Header.Type == unix.RTM_NEWROUTE && len(m.Data) >= unix.SizeofRtMsg:
		kind := m.Data[rtmType]
		return kind == unix.RTN_LOCAL || kind == unix.RTN_ANYCAST || kind == unix.RTN_BROADCAST, nil
	}
	return false, errors.New("the kernel gives no route for an answer")
}
