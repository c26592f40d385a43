package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"aegis/internal/egress"
	"aegis/internal/resolve"
	"aegis/internal/wire"
)

// sockets is a connected pair, as a shim and its helper have it.
func sockets(t testing.TB) (*net.UnixConn, *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out [2]*net.UnixConn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "broker")
		c, err := net.FileConn(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		out[i] = c.(*net.UnixConn)
	}
	return out[0], out[1]
}

// world is what a Server of these tests dials and resolves.
type world struct {
	mu     sync.Mutex
	dialed []string
	denied []string
	names  map[string][]string // what a name leads to: one answer after the other, the last for ever
	own    []netip.Addr
	server *Server
}

func (w *world) dial(_ context.Context, network string, to netip.AddrPort) (net.Conn, error) {
	w.mu.Lock()
	w.dialed = append(w.dialed, network+" "+to.String())
	w.mu.Unlock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, err
	}
	far := os.NewFile(uintptr(fds[1]), "far")
	far.WriteString("hello")
	far.Close()
	f := os.NewFile(uintptr(fds[0]), "near")
	defer f.Close()
	return net.FileConn(f)
}

func (w *world) lookup(_ context.Context, name string, qtype dnsmessage.Type) (resolve.Answer, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	answers := w.names[strings.TrimSuffix(name, ".")]
	if len(answers) == 0 {
		return resolve.Answer{Code: dnsmessage.RCodeNameError}, nil
	}
	if len(answers) > 1 {
		w.names[strings.TrimSuffix(name, ".")] = answers[1:]
	}
	a := netip.MustParseAddr(answers[0])
	h := dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Class: dnsmessage.ClassINET, TTL: 60}
	answer := resolve.Answer{Addrs: []netip.Addr{a}, TTL: time.Minute}
	if a.Is4() {
		answer.Records = []dnsmessage.Resource{{Header: h, Body: &dnsmessage.AResource{A: a.As4()}}}
	} else {
		answer.Records = []dnsmessage.Resource{{Header: h, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}}}
	}
	return answer, nil
}

func begin(t testing.TB, w *world, mode string, hosts, cidrs []string) *Client {
	t.Helper()
	rules, err := egress.Parse(mode, hosts, cidrs)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := sockets(t)
	w.server = &Server{Policy: egress.New(rules), Lookup: w.lookup, Dial: w.dial,
		Own: func(to netip.Addr) (bool, error) { return slices.Contains(w.own, to), nil },
		Denied: func(network string, why *egress.Denied) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.denied = append(w.denied, network+" "+why.Error())
		},
		Counts: func(Counts) {},
	}
	go w.server.Serve(t.Context(), ours)
	c := NewClient(theirs)
	go c.Run()
	return c
}

// reach dials as a guest does, and says whether a socket came.
func reach(t testing.TB, c *Client, network, addr string) bool {
	t.Helper()
	port := uint16(80)
	if network == "icmp" {
		port = 0
	}
	conn, err := c.Dial(t.Context(), network, netip.AddrPortFrom(netip.MustParseAddr(addr), port))
	if err != nil {
		return false
	}
	defer conn.Close()
	if got, err := io.ReadAll(conn); string(got) != "hello" {
		t.Errorf("%s: the socket says %q, %v", addr, got, err)
	}
	return true
}

// resolved asks for a name and gives the first address of the answer.
func resolved(t testing.TB, c *Client, name string, qtype dnsmessage.Type) string {
	t.Helper()
	packed, err := c.Resolve(t.Context(), name+".", uint16(qtype))
	if err != nil {
		return ""
	}
	var m dnsmessage.Message
	if err := m.Unpack(packed); err != nil {
		t.Fatal(err)
	}
	for _, r := range m.Answers {
		switch b := r.Body.(type) {
		case *dnsmessage.AResource:
			return netip.AddrFrom4(b.A).String()
		case *dnsmessage.AAAAResource:
			return netip.AddrFrom16(b.AAAA).String()
		}
	}
	return ""
}

// TestDenialTable is every class of address against every way to it, and prints its rows.
func TestDenialTable(t *testing.T) {
	const own4, own6 = "93.184.216.99", "2606:2800::99"
	classes := []struct{ class, addr, open string }{ // open: the modes that reach it
		{"public", "93.184.216.34", "public lan"}, {"public IPv6", "2606:2800::1", "public lan"},
		{"private 10/8", "10.0.0.1", "lan"}, {"private 172.16/12", "172.16.0.1", "lan"}, {"private 192.168/16", "192.168.0.1", "lan"},
		{"private ULA", "fd00::1", "lan"}, {"shared, CGNAT", "100.64.0.1", "lan"},
		{"loopback", "127.0.0.1", ""}, {"loopback IPv6", "::1", ""}, {"unspecified", "0.0.0.0", ""}, {"unspecified IPv6", "::", ""},
		{"link-local", "169.254.1.1", ""}, {"link-local IPv6", "fe80::1", ""},
		{"metadata", "169.254.169.254", ""}, {"metadata Alibaba", "100.100.100.200", ""}, {"metadata Azure", "168.63.129.16", ""}, {"metadata IPv6", "fd00:ec2::254", ""},
		{"multicast", "224.0.0.1", ""}, {"multicast IPv6", "ff02::1", ""}, {"broadcast", "255.255.255.255", ""}, {"reserved", "240.0.0.1", ""},
		{"benchmark", "198.18.0.1", ""}, {"documentation", "203.0.113.1", ""}, {"documentation IPv6", "2001:db8::1", ""},
		{"mapped", "::ffff:93.184.216.34", ""}, {"mapped loopback", "::ffff:127.0.0.1", ""}, {"compatible", "::93.184.216.34", ""},
		{"NAT64", "64:ff9b::5db8:d822", ""}, {"6to4", "2002:5db8:d822::1", ""}, {"Teredo", "2001:0:1::1", ""},
		{"host's own", own4, ""}, {"host's own IPv6", own6, ""},
	}
	word := map[bool]string{true: "reached", false: "denied"}
	for _, mode := range []string{egress.ModePublic, egress.ModeLAN} {
		t.Logf("--net %s\n%-20s %-22s %-8s %-8s %-8s %-8s %s", mode, "class", "address", "TCP", "UDP", "ICMP", "name", "rebinding")
		for _, row := range classes {
			want := slices.Contains(strings.Fields(row.open), mode)
			addr := netip.MustParseAddr(row.addr)
			qtype := dnsmessage.TypeA
			if addr.Is6() {
				qtype = dnsmessage.TypeAAAA
			}
			w := &world{own: []netip.Addr{netip.MustParseAddr(own4), netip.MustParseAddr(own6)},
				names: map[string][]string{"name.test": {row.addr}, "rebind.test": {"93.184.216.34", row.addr}}}
			c := begin(t, w, mode, nil, nil)
			tcp, udp, icmp := reach(t, c, "tcp", row.addr), reach(t, c, "udp", row.addr), reach(t, c, "icmp", row.addr)
			name := reach(t, c, "tcp", resolved(t, c, "name.test", qtype))
			if !reach(t, c, "tcp", resolved(t, c, "rebind.test", dnsmessage.TypeA)) {
				t.Error("the first answer of a rebinding name is public, and denied")
			}
			rebound := reach(t, c, "tcp", resolved(t, c, "rebind.test", qtype))
			t.Logf("%-20s %-22s %-8s %-8s %-8s %-8s %s", row.class, row.addr, word[tcp], word[udp], word[icmp], word[name], word[rebound])
			if tcp != want || udp != want || icmp != want || name != want || rebound != want {
				t.Errorf("--net %s: %s must be %s", mode, row.class, word[want])
			}
			for _, d := range w.dialed {
				if !want && strings.Contains(d, "["+row.addr+"]") || !want && strings.Contains(d, " "+row.addr+":") {
					t.Errorf("dialled %s, which was denied", d)
				}
			}
			if !want && len(w.denied) != 5 {
				t.Errorf("%s: %d refusals were told, want 5: %q", row.class, len(w.denied), w.denied)
			}
		}
	}
}

func TestAllowList(t *testing.T) {
	w := &world{names: map[string][]string{"api.example.com": {"93.184.216.34"}, "a.b.example.org": {"93.184.216.35"},
		"evil.test": {"93.184.216.36"}, "inside.example.org": {"10.0.0.1"}}}
	c := begin(t, w, egress.ModePublic, []string{"api.example.com", "*.example.org"}, []string{"203.0.113.0/24"})
	for name, want := range map[string]bool{"api.example.com": true, "a.b.example.org": true, "inside.example.org": false} {
		before := resolved(t, c, name, dnsmessage.TypeA)
		if before == "" || reach(t, c, "tcp", before) != want {
			t.Errorf("%s at %q: want reached %v", name, before, want)
		}
	}
	if got := resolved(t, c, "evil.test", dnsmessage.TypeA); got != "" {
		t.Errorf("a name that is not listed resolves to %s", got)
	}
	if !slices.Contains(w.denied, "dns evil.test: it is not on the allow-list") {
		t.Errorf("told: %q", w.denied)
	}
	for addr, want := range map[string]bool{"203.0.113.7": true, "93.184.216.36": false, "8.8.8.8": false} {
		if reach(t, c, "tcp", addr) != want {
			t.Errorf("%s: want reached %v", addr, want)
		}
	}
}

// A listed name may be an alias of one that is not listed, since its owner says so; where the
// chain ends in a private address the guest learns it and does not reach it.
func TestAliases(t *testing.T) {
	w := &world{}
	c := begin(t, w, egress.ModePublic, []string{"*.example.org"}, nil)
	w.server.Lookup = func(_ context.Context, name string, _ dnsmessage.Type) (resolve.Answer, error) {
		end, addr := dnsmessage.MustNewName("end.cdn.test."), netip.MustParseAddr("93.184.216.35")
		if strings.HasPrefix(name, "inside.") {
			addr = netip.MustParseAddr("10.0.0.1")
		}
		head := dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Class: dnsmessage.ClassINET, TTL: 60}
		last := head
		last.Name = end
		return resolve.Answer{Addrs: []netip.Addr{addr}, TTL: time.Minute, Records: []dnsmessage.Resource{
			{Header: head, Body: &dnsmessage.CNAMEResource{CNAME: end}}, {Header: last, Body: &dnsmessage.AResource{A: addr.As4()}}}}, nil
	}
	for name, want := range map[string]struct {
		addr    string
		reached bool
	}{"web.example.org": {"93.184.216.35", true}, "inside.example.org": {"10.0.0.1", false}, "end.cdn.test": {"", false}} {
		got := resolved(t, c, name, dnsmessage.TypeA)
		if got != want.addr || got != "" && reach(t, c, "tcp", got) != want.reached {
			t.Errorf("%s is %q, want %+v", name, got, want)
		}
	}
}

func TestPort53(t *testing.T) {
	w := &world{}
	c := begin(t, w, egress.ModePublic, nil, nil)
	for _, network := range []string{"tcp", "udp"} {
		if conn, err := c.Dial(t.Context(), network, netip.MustParseAddrPort("8.8.8.8:53")); err == nil {
			conn.Close()
			t.Errorf("%s to another DNS server", network)
		}
	}
	if len(w.denied) != 2 || len(w.dialed) != 0 {
		t.Errorf("%q, %q", w.denied, w.dialed)
	}
}

// An answer that no message can hold is a failure, and not a piece of one.
func TestAnswerTooLong(t *testing.T) {
	w := &world{}
	c := begin(t, w, egress.ModePublic, nil, nil)
	w.server.Lookup = func(_ context.Context, name string, _ dnsmessage.Type) (resolve.Answer, error) {
		var a resolve.Answer
		h := dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Class: dnsmessage.ClassINET}
		for range 300 {
			a.Records = append(a.Records, dnsmessage.Resource{Header: h, Body: &dnsmessage.TXTResource{TXT: []string{fmt.Sprintf("%0250d", 0)}}})
		}
		return a, nil
	}
	if got, err := c.Resolve(t.Context(), "long.test.", 16); err == nil {
		t.Errorf("%d bytes", len(got))
	}
}

// Requests beyond the caps are refused at once, and those before them are served.
func TestFlood(t *testing.T) {
	w := &world{}
	block := make(chan struct{})
	c := begin(t, w, egress.ModePublic, nil, nil)
	w.server.Dial = func(ctx context.Context, _ string, _ netip.AddrPort) (net.Conn, error) {
		select {
		case <-block:
		case <-ctx.Done():
		}
		return nil, errors.New("nobody answers")
	}
	var all sync.WaitGroup
	results := make(chan error, 2000)
	for range 2000 {
		all.Go(func() {
			_, err := c.Dial(t.Context(), "tcp", netip.MustParseAddrPort("8.8.8.8:80"))
			results <- err
		})
	}
	for range 2000 - maxPending {
		if err := <-results; err == nil || !strings.Contains(err.Error(), "too much") {
			t.Fatalf("%v", err)
		}
	}
	close(block)
	all.Wait()
}

// However quickly a guest's requests are answered, no more than a rate of them is.
func TestRate(t *testing.T) {
	w := &world{}
	c := begin(t, w, egress.ModePublic, nil, nil)
	served, began := 0, time.Now()
	for range 2 * burst {
		conn, err := c.Dial(t.Context(), "tcp", netip.MustParseAddrPort("8.8.8.8:80"))
		if err == nil {
			conn.Close()
			served++
		} else if !strings.Contains(err.Error(), "too short a time") {
			t.Fatal(err)
		}
	}
	if most := burst + int(time.Since(began).Seconds()*perSecond) + 1; served < burst || served > most {
		t.Errorf("%d of %d are served, want %d to %d", served, 2*burst, burst, most)
	}
}

// A helper that was taken over gets an end, and nothing else.
func TestHostileHelper(t *testing.T) {
	for _, bytes := range []string{"\xff\xff\xff\xff", "\x00\x00\x00\x02{]", "\x00\x00\x00\x10", "\x00\x00\x00\x0d{\"dial\":\"x\"}}"} {
		ours, theirs := sockets(t)
		done := make(chan error, 1)
		s := &Server{Policy: egress.New(egress.Rules{Mode: egress.ModePublic}), Counts: func(Counts) {}}
		go func() { done <- s.Serve(t.Context(), ours) }()
		theirs.Write([]byte(bytes))
		theirs.CloseWrite()
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			t.Fatalf("%q: Serve does not end", bytes)
		}
	}
}

func FuzzServer(f *testing.F) {
	f.Add([]byte(`{"id":1,"dial":{"network":"tcp","to":"127.0.0.1:80"}}`))
	f.Add([]byte(`{"id":1,"ask":{"name":"a.test.","type":1}}`))
	f.Add([]byte(`{"id":1,"counts":{"sent":1}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) > maxRequest {
			return
		}
		ours, theirs := sockets(t)
		w := &world{}
		s := &Server{Policy: egress.New(egress.Rules{Mode: egress.ModePublic}), Lookup: w.lookup, Dial: w.dial,
			Own:    func(netip.Addr) (bool, error) { return false, nil },
			Denied: func(string, *egress.Denied) {}, Counts: func(Counts) {}}
		done := make(chan struct{})
		go func() { s.Serve(t.Context(), ours); close(done) }()
		theirs.Write(append([]byte{0, 0, byte(len(body) >> 8), byte(len(body))}, body...))
		theirs.CloseWrite()
		wire.ReadMessage(theirs, &reply{}, maxReply)
		theirs.Close()
		<-done
	})
}
