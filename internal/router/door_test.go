package router

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"aegis/internal/fault"
	"aegis/internal/instance"
)

// frontDoor opens a front door before an app that tells the Host it was given.
func frontDoor(t *testing.T) (*fake, *Router, string) {
	t.Helper()
	f := app(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "app of "+r.Host) })
	f.names = map[string][]uint16{"web": {80, 8080}, "8080-web": {81}, "9-lives": {80}}
	r := New(f, Options{})
	t.Cleanup(func() { r.Close() })
	addr, err := r.FrontDoor("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return f, r, addr.String()
}

func TestFrontDoorHosts(t *testing.T) {
	_, _, addr := frontDoor(t)
	for host, served := range map[string]bool{
		"web.localhost:8099": true, "web.localhost": true, "WEB.LocalHost.:8099": true, "web.localhost.": true,
		"80-web.localhost": true, "8080-web.localhost": true, "9-lives.localhost": true, "80-9-lives.localhost": true,
		"": false, "localhost": false, "localhost:8099": false, ".localhost": false, "127.0.0.1:8099": false, "[::1]:8099": false,
		"web": false, "web.example.com": false, "web.localhost.example.com": false, "web.localhost..": false,
		"a.web.localhost": false, "-web.localhost": false, "81-web.localhost": false, "080-web.localhost": false,
		"99999-web.localhost": false, "0-web.localhost": false, "-80-web.localhost": false, "80-.localhost": false,
		"none.localhost": false, "weblocalhost": false, "xlocalhost": false,
		strings.Repeat("a", 70) + ".localhost": false,
	} {
		got := raw(t, addr, "GET / HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n")
		if served {
			if !strings.HasPrefix(got, "HTTP/1.1 200 ") || !strings.HasSuffix(got, "app of "+host) {
				t.Errorf("%q is not served: %s", host, got)
			}
		} else if !strings.HasPrefix(got, "HTTP/1.1 404 ") || !strings.HasSuffix(got, "\r\n\r\n"+unknown+"\n") {
			t.Errorf("%q: %s", host, got)
		}
	}
}

func TestDoorNameIsBounded(t *testing.T) {
	if _, ok := doorName("65535-" + strings.Repeat("a", 63) + ".localhost"); !ok {
		t.Error("the longest name there can be is refused")
	}
	if _, ok := doorName(strings.Repeat("a", 70) + ".localhost"); ok {
		t.Error("a longer one is looked up")
	}
}

func TestFrontDoorRequestLines(t *testing.T) {
	_, _, addr := frontDoor(t)
	for request, want := range map[string]string{
		"GET / HTTP/1.0\r\n\r\n": "HTTP/1.0 404 ",
		"GET http://web.localhost:8099/x HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n":          "HTTP/1.1 200 ",
		"GET http://evil.example/x HTTP/1.1\r\nHost: web.localhost\r\nConnection: close\r\n\r\n":               "HTTP/1.1 404 ",
		"GET / HTTP/1.1\r\nHost: web.localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n":             "HTTP/1.1 400 ",
		"GET / HTTP/1.1\r\nConnection: close\r\n\r\n":                                                          "HTTP/1.1 400 ",
		"CONNECT web.localhost:80 HTTP/1.1\r\nHost: web.localhost:80\r\nConnection: close\r\n\r\n":             "HTTP/1.1 405 ",
		"GET / HTTP/1.1\r\nHost: user@web.localhost\r\nConnection: close\r\n\r\n":                              "HTTP/1.1 400 ",
		"GET / HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: web.localhost\r\nConnection: close\r\n\r\n": "HTTP/1.1 404 ",
	} {
		if got := raw(t, addr, request); !strings.HasPrefix(got, want) {
			t.Errorf("%q: %s", request, got)
		}
	}
}

func TestFrontDoorSharesTheClaimsConnections(t *testing.T) {
	f, r, addr := frontDoor(t)
	c, err := r.Claim([]instance.Port{{Guest: 80, Protocol: "http"}})
	if err != nil {
		t.Fatal(err)
	}
	c.Serve("inst-web")
	ask := "GET / HTTP/1.1\r\nHost: web.localhost\r\nConnection: close\r\n\r\n"
	raw(t, addr, ask)
	raw(t, net.JoinHostPort("127.0.0.1", itoa(c.Ports()[0].Host)), ask)
	if n := f.dials.Load(); n != 1 {
		t.Fatalf("%d dials", n)
	}
	c.Close()
	raw(t, addr, ask)
	raw(t, addr, ask)
	if n := f.dials.Load(); n != 3 {
		t.Fatalf("%d dials: a connection was kept for an instance without a claim", n)
	}
	eventually(t, "all close", func() bool { return f.open.Load() == 0 })
}

func TestFrontDoorWhenStopped(t *testing.T) {
	f, _, addr := frontDoor(t)
	f.fail.Store(&fault.Error{Kind: fault.WrongState, Subject: "web", What: `connect to "web"`, Why: "its user stopped it"})
	got := raw(t, addr, "GET / HTTP/1.1\r\nHost: web.localhost\r\nConnection: close\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.1 503 ") || !strings.Contains(got, "its user stopped it") {
		t.Fatal(got)
	}
}

func TestFrontDoorPortTaken(t *testing.T) {
	_, r, addr := frontDoor(t)
	if _, err := New(&fake{}, Options{}).FrontDoor(addr); !fault.Is(err, fault.PortTaken) {
		t.Error(err)
	}
	at, _ := net.ResolveTCPAddr("tcp", addr)
	_, err := r.Claim([]instance.Port{{Guest: 1, Host: uint16(at.Port)}})
	if !fault.Is(err, fault.PortTaken) || !strings.Contains(err.Error(), "front door") {
		t.Error(err)
	}
	if _, err := r.FrontDoor("127.0.0.1:0"); !fault.Is(err, fault.WrongState) {
		t.Error("a second front door:", err)
	}
	for _, bad := range []string{"localhost:8099", "127.0.0.1", ":8099", "192.0.2.1:8099"} {
		if _, err := New(&fake{}, Options{}).FrontDoor(bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func FuzzDoor(f *testing.F) {
	for _, s := range []string{"web.localhost:8099", "8080-web.localhost", "WEB.LOCALHOST.", "[::1]:80", "", "a.b.localhost"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, host string) {
		label, ok := doorName(host)
		if !ok {
			return
		}
		// Whatever is taken leads back to itself, so a name has one door only.
		if again, ok := doorName(label + ".localhost"); !ok || again != label {
			t.Fatalf("%q: %q, then %q", host, label, again)
		}
		if port, name, ok := portName(label); ok && itoa(port)+"-"+name != label {
			t.Fatalf("%q: %d %q", label, port, name)
		}
		httptest.NewRequest("GET", "http://"+label+".localhost/", nil) // panics on what is no host
	})
}
