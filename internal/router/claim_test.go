package router

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"aegis/internal/fault"
	"aegis/internal/instance"
)

// taken is a port that this test holds on an address of its own choice.
func taken(t *testing.T, network, addr string) uint16 {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Skipf("pending: can't listen on %s %s: %v", network, addr, err)
	}
	t.Cleanup(func() { l.Close() })
	return uint16(l.Addr().(*net.TCPAddr).Port)
}

func TestClaimChoosesPorts(t *testing.T) {
	r := New(&fake{}, Options{Given: func(p uint16) bool { return p%2 == 0 }})
	defer r.Close()
	c, err := r.Claim([]instance.Port{{Guest: 80, Protocol: "http"}, {Guest: 81, Protocol: "tcp", IP: "0.0.0.0"}, {Guest: 80, Protocol: "tcp", IP: "::ffff:127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	got := c.Ports()
	for i, want := range []instance.Port{{Guest: 80, IP: "127.0.0.1", Protocol: "http"}, {Guest: 81, IP: "0.0.0.0", Protocol: "tcp"}, {Guest: 80, IP: "127.0.0.1", Protocol: "tcp"}} {
		host := got[i].Host
		if got[i].Host = 0; got[i] != want {
			t.Errorf("port %d is %+v", i, got[i])
		}
		if host < firstChosen || host > lastChosen {
			t.Errorf("%d is not in the range", host)
		}
		if host%2 == 0 {
			t.Errorf("%d is given to another instance", host)
		}
	}
}

func TestPortsKeepTheirOrder(t *testing.T) {
	r := New(&fake{}, Options{})
	defer r.Close()
	c, err := r.Claim([]instance.Port{{Guest: 3}, {Guest: 1}, {Guest: 2}})
	if err != nil {
		t.Fatal(err)
	}
	given := c.Ports()
	c.Close()
	given[0].Host = 0 // chosen last, and still the first
	if c, err = r.Claim(given); err != nil {
		t.Fatal(err)
	}
	for i, p := range c.Ports() {
		if p.Guest != given[i].Guest || given[i].Host != 0 && p.Host != given[i].Host {
			t.Fatalf("%+v\nwant %+v", c.Ports(), given)
		}
	}
}

func TestClaimIsAllOrNothing(t *testing.T) {
	busy := taken(t, "tcp4", "127.0.0.1:0")
	r := New(&fake{}, Options{})
	defer r.Close()
	free := taken(t, "tcp4", "127.0.0.1:0") // so that nobody else gets it
	_, err := r.Claim([]instance.Port{{Guest: 1, IP: "127.0.0.2", Host: free}, {Guest: 2, Host: busy}})
	if !fault.Is(err, fault.PortTaken) {
		t.Fatal(err)
	}
	c, err := r.Claim([]instance.Port{{Guest: 1, IP: "127.0.0.2", Host: free}})
	if err != nil {
		t.Fatal("a failed claim kept a port:", err)
	}
	c.Serve("inst-a")
	_, err = r.Claim([]instance.Port{{Guest: 1, IP: "127.0.0.2", Host: free}})
	if !fault.Is(err, fault.PortTaken) || !strings.Contains(err.Error(), "instance inst-a") {
		t.Fatal(err)
	}
	c.Drain()
	if c, err = r.Claim([]instance.Port{{Guest: 1, IP: "127.0.0.2", Host: free}}); err != nil {
		t.Fatal("a drained claim kept its port:", err)
	}
	c.Close()
}

func TestClaimRefusesAddresses(t *testing.T) {
	r := New(&fake{}, Options{})
	defer r.Close()
	for _, ip := range []string{"localhost", "1.2.3", "fe80::1%lo", "192.0.2.1"} { // the last is TEST-NET-1, RFC 5737
		for _, host := range []uint16{0, 20000} {
			if _, err := r.Claim([]instance.Port{{Guest: 1, IP: ip, Host: host}}); !fault.Is(err, fault.Invalid) {
				t.Errorf("%s: %v", ip, err)
			}
		}
	}
}

// TestOverlapIsTaken holds what the kernel is trusted with: a wildcard and an
// address of it don't share a port, either way round and across families.
func TestOverlapIsTaken(t *testing.T) {
	for _, c := range []struct{ network, held, ask string }{
		{"tcp4", "0.0.0.0:0", "127.0.0.1"},
		{"tcp4", "127.0.0.1:0", "0.0.0.0"},
		{"tcp", "[::]:0", "127.0.0.1"},
		{"tcp6", "[::1]:0", "::"},
	} {
		port := taken(t, c.network, c.held)
		r := New(&fake{}, Options{})
		if _, err := r.Claim([]instance.Port{{Guest: 1, IP: c.ask, Host: port}}); !fault.Is(err, fault.PortTaken) {
			t.Errorf("%s while %s is held: %v", c.ask, c.held, err)
		}
		r.Close()
	}
}

// TestClientsQueueUntilServe connects before Serve and is answered after it.
func TestClientsQueueUntilServe(t *testing.T) {
	f := app(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") })
	claim, addr := open(t, f, instance.HTTP)
	c := dialTCP(t, addr)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	claim.Serve("inst-web")
	claim.Serve("inst-other")
	if claim.id != "inst-web" || len(claim.servers) != 1 {
		t.Fatal("a second Serve did something")
	}
	if got, err := io.ReadAll(c); err != nil || !strings.HasSuffix(string(got), "ok") {
		t.Fatal(string(got), err)
	}
}

func TestClosedRouterClaimsNothing(t *testing.T) {
	r := New(&fake{}, Options{})
	c, err := r.Claim([]instance.Port{{Guest: 1}})
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	if _, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", itoa(c.Ports()[0].Host))); err == nil {
		t.Error("a port outlives the router")
	}
	if _, err := r.Claim([]instance.Port{{Guest: 1}}); !fault.Is(err, fault.Cancelled) {
		t.Error(err)
	}
	if _, err := r.FrontDoor("127.0.0.1:0"); !fault.Is(err, fault.WrongState) {
		t.Error(err)
	}
}

func TestCloseEndsRequests(t *testing.T) {
	reached := make(chan struct{})
	f := app(t, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		close(reached)
		<-r.Context().Done() // ends only if the router lets go
	})
	claim, addr := expose(t, f, instance.HTTP)
	res, err := http.Get("http://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	<-reached
	claim.Close()
	if _, err := io.ReadAll(res.Body); err == nil {
		t.Fatal("an answer that was cut looks whole")
	}
}

func TestDrainEndsIdleClients(t *testing.T) {
	f := app(t, func(http.ResponseWriter, *http.Request) {})
	claim, addr := expose(t, f, instance.HTTP, func(r *Router) { r.limits.keep = time.Hour })
	c, late := dialTCP(t, addr), dialTCP(t, addr)
	ask := "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	io.WriteString(c, ask)
	io.ReadFull(c, make([]byte, len("HTTP/1.1 200 OK\r\n")))
	eventually(t, "both are accepted", func() bool {
		claim.visitors.mu.Lock()
		defer claim.visitors.mu.Unlock()
		return len(claim.visitors.open) == 2
	})
	claim.Drain()
	if _, err := io.ReadAll(c); err != nil { // a time-out if the connection is left open
		t.Fatal(err)
	}
	io.WriteString(late, ask) // is answered still, and leaves no kept connection, as expose checks
	if got, err := io.ReadAll(late); err != nil || !strings.HasPrefix(string(got), "HTTP/1.1 200 ") {
		t.Fatal(string(got), err)
	}
}
