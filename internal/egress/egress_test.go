package egress

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"aegis/internal/fault"
)

func rules(t testing.TB, mode string, hosts, cidrs []string) Rules {
	t.Helper()
	r, err := Parse(mode, hosts, cidrs)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestClassify(t *testing.T) {
	for addr, want := range map[string]Class{
		"8.8.8.8": Public, "1.0.0.1": Public, "223.255.255.255": Public, "2606:4700::1111": Public, "2001:4860:4860::8888": Public,
		"10.0.0.1": Private, "172.16.0.1": Private, "172.31.255.255": Private, "172.32.0.1": Public, "192.168.1.1": Private,
		"fd12::1": Private, "fc00::1": Private, "100.64.0.1": Shared, "100.127.255.255": Shared, "100.128.0.1": Public,
		"127.0.0.1": Loopback, "127.255.0.9": Loopback, "::1": Loopback, "169.254.1.1": LinkLocal, "fe80::1": LinkLocal, "fe80::1%eth0": LinkLocal,
		"169.254.169.254": Metadata, "169.254.170.2": Metadata, "100.100.100.200": Metadata, "168.63.129.16": Metadata, "fd00:ec2::254": Metadata,
		"224.0.0.1": Multicast, "239.255.255.255": Multicast, "ff02::1": Multicast, "255.255.255.255": Reserved, "240.0.0.1": Reserved,
		"0.0.0.0": Reserved, "0.1.2.3": Reserved, "::": Reserved, "192.0.0.1": Reserved, "198.18.0.1": Reserved, "198.19.9.9": Reserved,
		"192.0.2.1": Documentation, "198.51.100.1": Documentation, "203.0.113.1": Documentation, "2001:db8::1": Documentation, "3fff::1": Documentation,
		"::ffff:8.8.8.8": Translated, "::ffff:127.0.0.1": Translated, "::8.8.8.8": Translated, "64:ff9b::808:808": Translated,
		"64:ff9b:1::1": Translated, "2002:7f00:1::": Translated, "2001:0:1::1": Translated, "::ffff:0:808:808": Translated,
		"2001:2::1": Reserved, "100::1": Reserved, "4000::1": Reserved, "fec0::1": Reserved,
	} {
		if got := Classify(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s is %s, want %s", addr, got, want)
		}
	}
	if got := Classify(netip.Addr{}); got != Reserved {
		t.Errorf("no address is %s", got)
	}
}

func TestParse(t *testing.T) {
	for _, c := range []struct{ mode, host, cidr, word string }{
		{"bridge", "", "", "is no network"},
		{"", "", "", "is no network"},
		{ModeNone, "example.com", "", "needs a network"},
		{ModePublic, "1.2.3.4", "", "is an address"},
		{ModePublic, "[::1]", "", "is an address"},
		{ModePublic, "example.com:80", "", "is no host name"},
		{ModePublic, "https://example.com", "", "is no host name"},
		{ModePublic, "*", "", "is no host name"},
		{ModePublic, "*.", "", "is no host name"},
		{ModePublic, "a.*.com", "", "is no host name"},
		{ModePublic, "exa mple", "", "is no host name"},
		{ModePublic, strings.Repeat("a", 64), "", "is no host name"},
		{ModePublic, "", "10.0.0.0/33", "is no range"},
		{ModePublic, "", "example.com", "is no range"},
		{ModeLAN, "", "127.0.0.1", "127.0.0.1/32 is loopback, which no"},
		{ModeLAN, "", "169.254.0.0/16", "is link-local, which no"},
		{ModeLAN, "", "169.254.169.254", "is metadata, which no"},
		{ModeLAN, "", "fe80::/64", "is link-local, which no"},
		{ModeLAN, "", "::ffff:10.0.0.0/104", "is translated, which no"},
		{ModeLAN, "", "64:ff9b::/96", "is translated, which no"},
		{ModeLAN, "", "224.0.0.0/4", "is multicast, which no"},
	} {
		var hosts, cidrs []string
		if c.host != "" {
			hosts = []string{c.host}
		}
		if c.cidr != "" {
			cidrs = []string{c.cidr}
		}
		_, err := Parse(c.mode, hosts, cidrs)
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), c.word) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	r := rules(t, ModeLAN, []string{"API.Example.com.", "*.Example.org"}, []string{"10.1.2.3/8", "2001:4860::1"})
	if r.Hosts[0] != "api.example.com" || r.Hosts[1] != "*.example.org" || r.CIDRs[0].String() != "10.0.0.0/8" || r.CIDRs[1].Bits() != 128 {
		t.Errorf("%+v", r)
	}
}

func TestNames(t *testing.T) {
	listed := New(rules(t, ModePublic, []string{"api.example.com", "*.example.org"}, nil))
	for name, want := range map[string]bool{
		"api.example.com": true, "API.example.COM.": true, "x.api.example.com": false, "example.com": false,
		"a.example.org": true, "a.b.example.org": true, "example.org": false, "badexample.org": false, "a.example.org.evil": false, "": false,
	} {
		if err := listed.Name(name); (err == nil) != want {
			t.Errorf("%q: %v", name, err)
		}
	}
	open := New(rules(t, ModePublic, nil, nil))
	for name, want := range map[string]bool{"anything.at.all": true, "localhost": false, "x.localhost.": false} {
		if err := open.Name(name); (err == nil) != want {
			t.Errorf("%q: %v", name, err)
		}
	}
	if New(rules(t, ModePublic, nil, []string{"1.0.0.0/8"})).Name("example.com") == nil {
		t.Error("a list of ranges resolves names")
	}
}

func TestLeases(t *testing.T) {
	p := New(rules(t, ModePublic, []string{"api.example.com"}, nil))
	now := time.Unix(1e9, 0)
	public, private := netip.MustParseAddr("8.8.8.8"), netip.MustParseAddr("10.0.0.1")
	if p.Address(public, false, now) == nil {
		t.Error("an address without a lease is reached")
	}
	p.Resolved([]netip.Addr{public, private}, 5*time.Minute, now)
	if err := p.Address(public, false, now.Add(299*time.Second)); err != nil {
		t.Error(err)
	}
	if p.Address(public, false, now.Add(300*time.Second)) == nil {
		t.Error("a lease is longer than its TTL")
	}
	if p.Address(private, false, now) == nil {
		t.Error("a name opens a private address")
	}
	p.Resolved([]netip.Addr{public}, 0, now)
	p.Resolved([]netip.Addr{netip.MustParseAddr("9.9.9.9")}, 1000*time.Hour, now)
	if p.Address(netip.MustParseAddr("9.9.9.9"), false, now.Add(maxLease)) == nil {
		t.Error("a lease has no end")
	}
	for i := range 3 * maxLeases {
		p.Resolved([]netip.Addr{netip.AddrFrom4([4]byte{20, byte(i >> 16), byte(i >> 8), byte(i)})}, time.Minute, now)
	}
	if n := len(p.leases.until); n > maxLeases {
		t.Errorf("%d leases", n)
	}
}

func TestOwnAddressesAndRanges(t *testing.T) {
	own := netip.MustParseAddr("93.184.216.34")
	for _, mode := range []string{ModePublic, ModeLAN} {
		p := New(rules(t, mode, nil, nil))
		var d *Denied
		if err := p.Address(own, true, time.Now()); !errors.As(err, &d) || d.Class != Own {
			t.Errorf("%s: %v", mode, err)
		}
		if err := p.Address(own, false, time.Now()); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
	}
	listed := New(rules(t, ModePublic, nil, []string{"10.1.0.0/16", "0.0.0.0/0", "::/0"}))
	if err := listed.Address(netip.MustParseAddr("10.1.2.3"), false, time.Now()); err != nil {
		t.Error(err)
	}
	for _, addr := range []string{"127.0.0.1", "169.254.169.254", "169.254.0.1", "::1", "64:ff9b::a00:1", "224.0.0.1", "::ffff:10.1.2.3"} {
		if listed.Address(netip.MustParseAddr(addr), false, time.Now()) == nil {
			t.Errorf("a range opens %s", addr)
		}
	}
}

func FuzzClassify(f *testing.F) {
	for _, s := range []string{"\x08\x08\x08\x08", "\x7f\x00\x00\x01", strings.Repeat("\x00", 16), "\x20\x01" + strings.Repeat("\x00", 14)} {
		f.Add([]byte(s))
	}
	open := New(Rules{Mode: ModePublic})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, ok := netip.AddrFromSlice(b)
		if !ok {
			return
		}
		u := a.Unmap()
		local := u.IsPrivate() || u.IsLoopback() || u.IsLinkLocalUnicast() || u.IsMulticast() || u.IsUnspecified() || a.Is4In6() || !u.IsGlobalUnicast()
		if local && open.Address(a, false, time.Time{}) == nil {
			t.Errorf("%s is reached", a)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add("*.example.com", "10.0.0.0/8", "a.example.com")
	f.Fuzz(func(t *testing.T, host, cidr, name string) {
		if r, err := Parse(ModePublic, []string{host}, []string{cidr}); err == nil {
			p := New(r)
			if err := p.Name(name); err != nil && len(err.Error()) > 700 {
				t.Errorf("a refusal of %d bytes", len(err.Error()))
			}
		}
	})
}
