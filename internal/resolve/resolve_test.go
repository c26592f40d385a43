package resolve

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// zone answers questions: "name type" leads to records.
type zone map[string][]dnsmessage.Resource

func cname(from, to string, ttl uint32) dnsmessage.Resource {
	return dnsmessage.Resource{Header: header(from, ttl), Body: &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(to)}}
}

func a(name, addr string, ttl uint32) dnsmessage.Resource {
	return dnsmessage.Resource{Header: header(name, ttl), Body: &dnsmessage.AResource{A: netip.MustParseAddr(addr).As4()}}
}

func header(name string, ttl uint32) dnsmessage.ResourceHeader {
	return dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name), Class: dnsmessage.ClassINET, TTL: ttl}
}

// reply answers one packed query; over UDP what is longer than 512 bytes is cut.
func (z zone) reply(query []byte, udp bool) []byte {
	var m dnsmessage.Message
	if m.Unpack(query) != nil {
		return nil
	}
	m.Response, m.Additionals = true, nil
	records, ok := z[strings.ToLower(m.Questions[0].Name.String())]
	if !ok {
		m.RCode = dnsmessage.RCodeNameError
	}
	m.Answers = records
	b, _ := m.Pack()
	if udp && len(b) > 512 {
		m.Answers, m.Truncated = nil, true
		b, _ = m.Pack()
	}
	return b
}

// serve runs a server of the zone on one port of both protocols.
func (z zone) serve(t *testing.T) netip.AddrPort {
	t.Helper()
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { packets.Close() })
	l, err := net.Listen("tcp", packets.LocalAddr().String())
	if err != nil {
		t.Skip("pending: the port is taken for TCP")
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := packets.ReadFrom(buf)
			if err != nil {
				return
			}
			good := z.reply(buf[:n], true)
			forged := append([]byte(nil), good...)
			forged[0] ^= 0xff // an ID that was not asked for comes first, with another answer
			forged[len(forged)-1] ^= 0xff
			packets.WriteTo(forged, from)
			packets.WriteTo(good, from)
		}
	}()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			var size [2]byte
			io.ReadFull(c, size[:])
			query := make([]byte, binary.BigEndian.Uint16(size[:]))
			io.ReadFull(c, query)
			b := z.reply(query, false)
			c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
			c.Close()
		}
	}()
	return netip.MustParseAddrPort(packets.LocalAddr().String())
}

func host(t *testing.T, server netip.AddrPort, hosts string) *Host {
	t.Helper()
	h := &Host{Conf: filepath.Join(t.TempDir(), "resolv.conf"), Hosts: filepath.Join(t.TempDir(), "hosts")}
	if err := os.WriteFile(h.Hosts, []byte(hosts), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.Conf, []byte("search a.test b.test\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.read()
	h.conf.value.Servers = []netip.AddrPort{server} // a port that a file can't name
	return h
}

func TestLookup(t *testing.T) {
	var many []dnsmessage.Resource
	for i := range 100 {
		many = append(many, a("many.test.", netip.AddrFrom4([4]byte{20, 0, 0, byte(i)}).String(), 30))
	}
	z := zone{
		"plain.test.":  {a("plain.test.", "1.2.3.4", 300), a("other.test.", "6.6.6.6", 300)},
		"alias.test.":  {cname("alias.test.", "Middle.test.", 50), cname("middle.test.", "end.test.", 20), a("end.test.", "1.1.1.1", 300)},
		"half.test.":   {cname("half.test.", "plain.test.", 10)},
		"circle.test.": {cname("circle.test.", "circle2.test.", 10)}, "circle2.test.": {cname("circle2.test.", "circle.test.", 10)},
		"empty.test.": nil,
		"many.test.":  many,
	}
	h := host(t, z.serve(t), "9.9.9.9 Known known.test # comment\n127.0.0.1 mine\n::1 mine\n")
	for _, c := range []struct {
		name  string
		addrs string
		ttl   time.Duration
		code  dnsmessage.RCode
	}{
		{"plain.test", "1.2.3.4", 300 * time.Second, 0},
		{"PLAIN.test.", "1.2.3.4", 300 * time.Second, 0},
		{"alias.test.", "1.1.1.1", 20 * time.Second, 0},
		{"half.test.", "1.2.3.4", 10 * time.Second, 0},
		{"circle.test.", "", -1, 0},
		{"empty.test.", "", -1, 0},
		{"none.test.", "", -1, dnsmessage.RCodeNameError},
		{"known.test", "9.9.9.9", 60 * time.Second, 0},
		{"mine", "", -1, dnsmessage.RCodeNameError},
		{strings.Repeat("a", 300), "", -1, dnsmessage.RCodeFormatError},
	} {
		got, err := h.Lookup(t.Context(), c.name, dnsmessage.TypeA)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		addrs := ""
		for _, addr := range got.Addrs {
			addrs += addr.String()
		}
		if addrs != c.addrs || got.Code != c.code || c.ttl >= 0 && got.TTL != c.ttl {
			t.Errorf("%.20s: %q %s %s, want %q %s %s", c.name, addrs, got.TTL, got.Code, c.addrs, c.ttl, c.code)
		}
	}
	if got, err := h.Lookup(t.Context(), "many.test", dnsmessage.TypeA); err != nil || len(got.Addrs) != 100 {
		t.Errorf("%d addresses over TCP, %v", len(got.Addrs), err)
	}
}

// A server that does not answer costs a bounded time, and the next one is asked.
func TestServersFail(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	h := host(t, netip.MustParseAddrPort(silent.LocalAddr().String()), "")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := h.Lookup(ctx, "plain.test", dnsmessage.TypeA); err == nil {
		t.Error("an answer of nobody")
	}
	closed := netip.MustParseAddrPort(silent.LocalAddr().String())
	silent.Close()
	h.conf.value.Servers = []netip.AddrPort{closed, zone{"plain.test.": {a("plain.test.", "1.2.3.4", 1)}}.serve(t)}
	if got, err := h.Lookup(t.Context(), "plain.test", dnsmessage.TypeA); err != nil || len(got.Addrs) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestSettings(t *testing.T) {
	c := parseConf(bufio.NewScanner(strings.NewReader("# x\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\nnameserver x\nnameserver ::1\nnameserver 1.1.1.1\ndomain d\nsearch a b\noptions ndots:2\n")))
	if len(c.Servers) != 3 || c.Servers[0].String() != "10.0.0.1:53" || strings.Join(c.Search, ",") != "a,b" || c.Options[0] != "ndots:2" {
		t.Errorf("%+v", c)
	}
	h := host(t, netip.AddrPort{}, "")
	if strings.Join(h.Settings().Search, " ") != "a.test b.test" {
		t.Errorf("%+v", h.Settings())
	}
	if err := os.WriteFile(h.Conf, []byte("search changed.test\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if strings.Join(h.Settings().Search, " ") != "changed.test" {
		t.Errorf("a change is not seen: %+v", h.Settings())
	}
}

func FuzzUnpack(f *testing.F) {
	q := dnsmessage.Question{Name: dnsmessage.MustNewName("plain.test."), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}
	id, packed, _ := pack(q)
	f.Add(zone{"plain.test.": {cname("plain.test.", "b.test.", 1), a("b.test.", "1.2.3.4", 1)}}.reply(packed, true))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1 {
			binary.BigEndian.PutUint16(b, id)
		}
		if m, err := unpack(b, id, q); err == nil {
			answer := Answer{Records: m.Answers}
			answer.follow(q.Name)
		}
	})
}
