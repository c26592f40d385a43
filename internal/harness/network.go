//go:build linux

package harness

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"aegis/internal/fault"
	"aegis/internal/wire"
)

// device is the name of the guest's one interface beside its loopback.
const device = "eth0"

// raiseLoopback brings lo up. The kernel gives it 127.0.0.1 and ::1 by itself.
func raiseLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("raise the loopback: %w", err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("raise the loopback: %w", err)
	}
	return nil
}

// drive loads the drivers of a network, once. They are in the initramfs.
func (m *vm) drive(n *wire.Network) error {
	order := "order.net"
	if n.TAP {
		order = "order.tap"
	}
	if m.drivers[order] {
		return nil
	}
	if err := loadModules("/modules", order); err != nil {
		return err
	}
	if m.drivers == nil {
		m.drivers = map[string]bool{}
	}
	m.drivers[order] = true
	return nil
}

// join makes the network device and sets it up, before the root is switched. Of one that
// was joined ahead it changes what is the instance's own.
func (m *vm) join(n *wire.Network) error {
	if alike(m.network, n) {
		return m.adopt(n)
	}
	if err := m.leave(); err != nil {
		return err
	}
	if n == nil {
		return nil
	}
	if err := m.drive(n); err != nil {
		return err
	}
	m.network = n
	if n.TAP {
		tap, err := openTAP(device)
		if err != nil {
			return err
		}
		channel, err := openPort(netPort, bootWait)
		if err != nil {
			return err
		}
		go func() {
			defer endOnPanic()
			pumpFrames(tap, channel)
		}()
	}
	index, err := findDevice(device, bootWait)
	if err != nil {
		return err
	}
	if err := setUp(index, n); err != nil {
		return err
	}
	m.open(index, n)
	return nil
}

// open lets the host's streams in, if there are any.
func (m *vm) open(index int, n *wire.Network) {
	m.ingress = false
	if n.Ingress == nil {
		return
	}
	if err := openIngress(index, n); err != nil {
		say("network: %v", err)
		return
	}
	m.ingress = true
}

// alike reports whether two networks differ in nothing but the hardware address and what
// is let in. One of a TAP is like no other: it is joined once.
func alike(a, b *wire.Network) bool {
	if a == nil || b == nil || a.TAP || b.TAP {
		return false
	}
	same := *a
	same.MAC, same.Ingress = b.MAC, b.Ingress
	return reflect.DeepEqual(&same, b)
}

// adopt gives the device that was joined ahead the instance's address.
func (m *vm) adopt(n *wire.Network) error {
	mac, err := hardwareAddress(n)
	if err != nil {
		return err
	}
	index, err := findDevice(device, bootWait)
	if err != nil {
		return err
	}
	nl, err := openNetlink()
	if err != nil {
		return err
	}
	defer nl.close()
	if m.network.Ingress != nil {
		if err := nl.letOut(m.network.Ingress); err != nil {
			return err
		}
	}
	if err := nl.change(index, 0, 0, attr(unix.IFLA_ADDRESS, mac)); err != nil {
		return fmt.Errorf("give device %q its address: %w", device, err)
	}
	m.network = n
	m.open(index, n)
	return nil
}

func hardwareAddress(n *wire.Network) (net.HardwareAddr, error) {
	mac, err := net.ParseMAC(n.MAC)
	if err != nil {
		return nil, fault.New(fault.Invalid, "", "", "hardware address %.40q is none", n.MAC)
	}
	return mac, nil
}

// openIngress lets the host's streams in.
func openIngress(index int, n *wire.Network) error {
	if len(n.Gateways) == 0 {
		return errors.New("ingress without a gateway")
	}
	gateway, err := netip.ParseAddr(n.Gateways[0])
	if err != nil {
		return err
	}
	nl, err := openNetlink()
	if err != nil {
		return err
	}
	defer nl.close()
	return nl.letIn(index, gateway, n.Ingress)
}

// leave undoes join of what was joined ahead and is not the start's. A TAP is never
// joined ahead: it would take the port.
func (m *vm) leave() error {
	n := m.network
	m.network, m.ingress = nil, false
	if n == nil {
		return nil
	}
	index, err := findDevice(device, bootWait)
	if err != nil {
		return err
	}
	return takeDown(index, n)
}

// findDevice waits for an interface, whose driver may just have been loaded.
func findDevice(name string, wait time.Duration) (int, error) {
	deadline := time.Now().Add(wait)
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		if i, err := net.InterfaceByName(name); err == nil {
			return i.Index, nil
		}
		if time.Now().After(deadline) {
			return 0, fmt.Errorf("find device %q: there is none after %s", name, wait)
		}
		time.Sleep(pause)
	}
}

// setUp gives the device its addresses and routes.
func setUp(index int, n *wire.Network) error {
	mac, err := hardwareAddress(n)
	if err != nil {
		return err
	}
	for key, value := range map[string]string{"accept_ra": "0", "addr_gen_mode": "1"} { // what speaks unasked
		os.WriteFile("/proc/sys/net/ipv6/conf/"+device+"/"+key, []byte(value), 0)
	}
	nl, err := openNetlink()
	if err != nil {
		return err
	}
	defer nl.close()
	if err := nl.link(index, mac, n.MTU); err != nil {
		return fmt.Errorf("set up device %q: %w", device, err)
	}
	for _, text := range n.Addresses {
		p, err := netip.ParsePrefix(text)
		if err == nil {
			err = nl.address(index, p)
		}
		if err != nil {
			return fmt.Errorf("add address %.60q: %w", text, err)
		}
	}
	for _, text := range n.Gateways {
		g, err := netip.ParseAddr(text)
		if err == nil {
			err = nl.route(index, g)
		}
		if err != nil {
			return fmt.Errorf("add route by %.60q: %w", text, err)
		}
	}
	return nil
}

// takeDown undoes setUp.
func takeDown(index int, n *wire.Network) error {
	nl, err := openNetlink()
	if err != nil {
		return err
	}
	defer nl.close()
	if n.Ingress != nil {
		if err := nl.letOut(n.Ingress); err != nil {
			return err
		}
	}
	for _, text := range n.Addresses {
		if p, err := netip.ParsePrefix(text); err == nil {
			if err := nl.noAddress(index, p); err != nil {
				return fmt.Errorf("remove address %.60q: %w", text, err)
			}
		}
	}
	if err := nl.down(index); err != nil {
		return fmt.Errorf("take device %q down: %w", device, err)
	}
	return nil
}

// resolvConf is resolv.conf(5) for a network, or for none.
func resolvConf(n *wire.Network) string {
	if n == nil {
		return "# this instance has no network\n"
	}
	var b strings.Builder
	for _, s := range n.Servers {
		fmt.Fprintf(&b, "nameserver %s\n", oneLine(s))
	}
	if len(n.Search) > 0 {
		fmt.Fprintf(&b, "search %s\n", oneLine(strings.Join(n.Search, " ")))
	}
	if len(n.Options) > 0 {
		fmt.Fprintf(&b, "options %s\n", oneLine(strings.Join(n.Options, " ")))
	}
	return b.String()
}

// oneLine keeps a value from beginning a line of its own.
func oneLine(s string) string { return strings.NewReplacer("\n", " ", "\r", " ").Replace(s) }
