package router

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"aegis/internal/fault"
	"aegis/internal/instance"
)

func TestWakeIsTimed(t *testing.T) {
	f := app(t, func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Server-Timing", "db;dur=1") })
	f.delay = 1500 * time.Microsecond
	_, addr := expose(t, f, instance.HTTP)
	c := &http.Client{Transport: &http.Transport{}}
	defer c.CloseIdleConnections()
	res, _ := fetch(t, c, "http://"+addr)
	if got := res.Header.Values("Server-Timing"); len(got) != 2 || got[1] != "wake;dur=1.500" {
		t.Error(got)
	}
	if res, _ := fetch(t, c, "http://"+addr); len(res.Header.Values("Server-Timing")) != 1 {
		t.Error("a request on a kept connection said it waited")
	}
}

func TestFailedWakes(t *testing.T) {
	f := app(t, func(http.ResponseWriter, *http.Request) { t.Error("reached") })
	_, addr := expose(t, f, instance.HTTP)
	f.fail.Store(&fault.Error{Kind: fault.Backoff, Subject: "web", What: `start instance "web"`,
		Why: "its command keeps failing", Cause: io.ErrUnexpectedEOF})
	res, body := get(t, "http://"+addr)
	if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" || res.Header.Get("Content-Type") != "text/plain; charset=utf-8" ||
		body != "aegis: start instance \"web\": its command keeps failing\n" {
		t.Error(res, body)
	}
	f.fail.Store(&fault.Error{Kind: fault.BootFailed, Why: "no kernel"})
	if res, body := get(t, "http://"+addr); res.StatusCode != 503 || !strings.Contains(body, "inst-web") || !strings.Contains(body, "no kernel") {
		t.Error(res, body)
	}
	f.fail.Store(&fault.Error{Kind: fault.NotFound, Why: "secret name"})
	if res, body := get(t, "http://"+addr); res.StatusCode != 404 || strings.Contains(body, "secret") {
		t.Error(res, body)
	}
}

func TestDialErrorStaysPrivate(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // nobody answers there
	_, addr := expose(t, &fake{addr: l.Addr().String()}, instance.HTTP)
	if res, body := get(t, "http://"+addr); res.StatusCode != 503 || strings.Contains(body, "refused") || !strings.Contains(body, "inst-web") {
		t.Error(res, body)
	}
}

func TestWakeTimeout(t *testing.T) {
	f := app(t, func(http.ResponseWriter, *http.Request) {})
	f.hold = make(chan struct{})
	_, addr := expose(t, f, instance.HTTP, func(r *Router) { r.wake = 30 * time.Millisecond })
	res, body := get(t, "http://"+addr)
	if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" || !strings.Contains(body, "within 30ms") ||
		!strings.HasPrefix(res.Header.Get("Server-Timing"), "wake;dur=3") {
		t.Error(res, body)
	}
	// The connection to the client is whole: it may try again on it.
	close(f.hold)
	if res, _ := get(t, "http://"+addr); res.StatusCode != 200 {
		t.Error(res)
	}
}

func TestManyWaitForOneWake(t *testing.T) {
	f := app(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Write(body)
	})
	f.hold, f.delay = make(chan struct{}), time.Second
	_, addr := expose(t, f, instance.HTTP)
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			res, err := http.Post("http://"+addr, "", strings.NewReader(itoa(i)))
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			if body, _ := io.ReadAll(res.Body); string(body) != itoa(i) || res.Header.Get("Server-Timing") == "" {
				t.Error(string(body), res)
			}
		})
	}
	eventually(t, "fifty wait", func() bool { return f.dials.Load() == 50 })
	close(f.hold)
	all.Wait()
}

func TestClientThatGoesAwayEndsItsWait(t *testing.T) {
	f := app(t, func(http.ResponseWriter, *http.Request) {})
	f.hold = make(chan struct{})
	ended := make(chan struct{})
	_, addr := expose(t, f, instance.HTTP, func(r *Router) {
		r.backend = spy{f, func() { close(ended) }}
	})
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	eventually(t, "dial", func() bool { return f.dials.Load() == 1 })
	c.Close()
	<-ended
}

// TestGuestConnectionIsNotKeptLong holds the rule that an idle client does not
// keep an instance awake.
func TestGuestConnectionIsNotKeptLong(t *testing.T) {
	f := app(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") })
	_, addr := expose(t, f, instance.HTTP)
	c := &http.Client{Transport: &http.Transport{}}
	defer c.CloseIdleConnections()
	fetch(t, c, "http://"+addr)
	fetch(t, c, "http://"+addr)
	if n := f.dials.Load(); n != 1 {
		t.Fatalf("%d dials for two requests in a row", n)
	}
	eventually(t, "the guest's connection closes", func() bool { return f.open.Load() == 0 })
	fetch(t, c, "http://"+addr) // on the client's kept connection
	if n := f.dials.Load(); n != 2 {
		t.Fatalf("%d dials", n)
	}
}

func TestRestMakesTheNextRequestDial(t *testing.T) {
	f := app(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") })
	c, addr := expose(t, f, instance.HTTP, func(r *Router) { r.limits.keep = time.Hour })
	get(t, "http://"+addr)
	c.Rest() // whether or not the last exchange has given its connection back
	eventually(t, "kept connections close", func() bool { return f.open.Load() == 0 })
	get(t, "http://"+addr)
	if n := f.dials.Load(); n != 2 {
		t.Fatalf("%d dials", n)
	}
}

// TestCloseMayRest has an owner who is told of each connection's end and calls Rest
// meanwhile: neither waits for the other.
func TestCloseMayRest(t *testing.T) {
	f := app(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") })
	c, addr := expose(t, f, instance.HTTP)
	f.ended = func() { c.Rest() }
	get(t, "http://"+addr)
	eventually(t, "an idle connection closes", func() bool { return f.open.Load() == 0 })
	get(t, "http://"+addr)
	c.Rest()
	eventually(t, "a kept connection closes", func() bool { return f.open.Load() == 0 })
}

// TestRestDuringAnExchange rests while a connection is in use: the exchange ends
// well, and nothing new goes on it, also not another stream of HTTP/2.
func TestRestDuringAnExchange(t *testing.T) {
	for name, client := range map[string]*http.Client{"HTTP/1": {Transport: &http.Transport{DisableKeepAlives: true}}, "HTTP/2": h2c(t)} {
		release := make(chan struct{})
		f := app(t, func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			if r.URL.Path == "/long" {
				<-release
				io.WriteString(w, "whole")
			}
		})
		c, addr := expose(t, f, instance.HTTP, func(r *Router) { r.limits.keep = time.Hour })
		res, err := client.Get("http://" + addr + "/long")
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		c.Rest()
		fetch(t, client, "http://"+addr)
		if n := f.dials.Load(); n != 2 {
			t.Errorf("%s: %d dials", name, n)
		}
		close(release)
		if body, err := io.ReadAll(res.Body); string(body) != "whole" || err != nil {
			t.Error(name, string(body), err)
		}
		eventually(t, "only the new one is kept", func() bool { return f.open.Load() == 1 })
	}
}

// TestKeptConnectionThatDied has an app that answers once a connection and breaks
// it at the second request, as a VM that was replaced does.
func TestKeptConnectionThatDied(t *testing.T) {
	f := rawApp(t, func(c *net.TCPConn) {
		in := bufio.NewReader(c)
		if _, err := http.ReadRequest(in); err != nil {
			return
		}
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		if second, err := http.ReadRequest(in); err == nil && (second.Method != "GET" || second.ContentLength != 0) {
			t.Errorf("a request that can't be repeated went on a kept connection: %s of %d bytes", second.Method, second.ContentLength)
		}
		c.SetLinger(0)
	})
	_, addr := expose(t, f, instance.HTTP, func(r *Router) { r.limits.keep = time.Hour })
	for range 3 {
		if res, body := get(t, "http://"+addr); res.StatusCode != 200 || body != "ok" {
			t.Fatal(res, body)
		}
	}
	if n := f.dials.Load(); n != 3 {
		t.Fatalf("%d dials: a kept connection was never tried", n)
	}
	for _, method := range []string{"POST", "DELETE", "GET"} {
		var body io.Reader
		if method == "GET" { // with a body it can't be sent twice
			body = strings.NewReader("body")
		}
		req, _ := http.NewRequest(method, "http://"+addr, body)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != 200 {
			t.Fatal(method, res.Status)
		}
	}
}

func TestAppThatBreaksOff(t *testing.T) {
	f := rawApp(t, func(c *net.TCPConn) { http.ReadRequest(bufio.NewReader(c)) })
	_, addr := expose(t, f, instance.HTTP)
	if res, body := get(t, "http://"+addr); res.StatusCode != 502 || !strings.Contains(body, "inst-web") {
		t.Fatal(res, body)
	}
	if n := f.dials.Load(); n != 1 {
		t.Fatalf("tried %d times", n)
	}
}

func TestAnswerCutShortIsNotWhole(t *testing.T) {
	f := rawApp(t, func(c *net.TCPConn) {
		http.ReadRequest(bufio.NewReader(c))
		io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
	})
	_, addr := expose(t, f, instance.HTTP)
	res, err := http.Get("http://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err == nil {
		t.Fatalf("%q looks whole", body)
	}
}
