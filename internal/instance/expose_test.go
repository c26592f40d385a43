package instance

import (
	"fmt"
	"net/netip"
	"testing"

	"aegis/internal/fault"
)

func TestParseExpose(t *testing.T) {
	for text, want := range map[string]Port{
		"80":                  {80, "127.0.0.1", 0, HTTP},
		"80/http":             {80, "127.0.0.1", 0, HTTP},
		"80:http":             {80, "127.0.0.1", 0, HTTP},
		"5432/tcp":            {5432, "127.0.0.1", 0, TCP},
		"5432:tcp":            {5432, "127.0.0.1", 0, TCP},
		"8080:80":             {80, "127.0.0.1", 8080, HTTP},
		"8080:80:tcp":         {80, "127.0.0.1", 8080, TCP},
		"0.0.0.0:8080:80/tcp": {80, "0.0.0.0", 8080, TCP},
		"[::1]:8080:80":       {80, "::1", 8080, HTTP},
		"65535":               {65535, "127.0.0.1", 0, HTTP},
	} {
		if got, err := ParseExpose(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "0", "65536", "-1", "+80", "a", "80/udp", "80/", ":80", "0:80", "1.2.3.4:80", "1.2.3.4:0:80", "::1:8080:80",
		"[1.2.3.4]:8080:80", "[fe80::1%eth0]:8080:80", "localhost:8080:80", "80/http/tcp", "80:http:tcp", "80:tcp/http", "1:2:3:4", " 80", "80\n",
	} {
		if got, err := ParseExpose(text); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

func FuzzParseExpose(f *testing.F) {
	for _, seed := range []string{"80", "80:tcp", "8080:80/http", "[::1]:1:2/tcp", "1.2.3.4:5:6", ":::", "80//http"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParseExpose(text)
		if err != nil {
			if !fault.Is(err, fault.Invalid) {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		ip, err := netip.ParseAddr(p.IP)
		if err != nil || p.Guest == 0 || (p.Protocol != HTTP && p.Protocol != TCP) {
			t.Fatalf("%q: %+v, %v", text, p, err)
		}
		if p.Host == 0 {
			return
		}
		again, err := ParseExpose(fmt.Sprintf("%s:%d/%s", netip.AddrPortFrom(ip, p.Host), p.Guest, p.Protocol))
		if err != nil || again != p {
			t.Fatalf("%q: %+v, written out %+v, %v", text, p, again, err)
		}
	})
}
