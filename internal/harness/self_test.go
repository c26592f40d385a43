//go:build linux

package harness

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aegis/internal/fault"
	"aegis/internal/guest"
	"aegis/internal/wire"
)

// box is what the tests' instance is.
var box = wire.Self{ID: "inst-abc", Name: "box", Image: "default", CPUs: 2, Memory: 512 << 20,
	Ports: []wire.SelfPort{{Guest: 80, Protocol: "http"}}, PauseAfter: "1m0s", StopAfter: "never", Net: "none"}

// inside is a started instance as its own processes reach it.
type inside struct {
	t      *testing.T
	link   *guest.Link
	host   here
	socket string
	http   *http.Client
}

func newInside(t *testing.T) *inside {
	t.Helper()
	in := &inside{t: t, socket: filepath.Join(t.TempDir(), "sock")}
	in.link, in.host = linkedAt(t, in.socket)
	p, _, err := in.link.Start(t.Context(), wire.Start{Self: &box, Main: wire.Process{Args: []string{"test", "-S", in.socket}, Dir: t.TempDir()}})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, e := collect(t, p, nil); e.Status() != 0 {
		t.Error("the command began before there was a socket")
	}
	dial := func(context.Context, string, string) (net.Conn, error) { return net.Dial("unix", in.socket) }
	in.http = &http.Client{Transport: &http.Transport{DialContext: dial}, Timeout: patience}
	t.Cleanup(in.http.CloseIdleConnections)
	return in
}

// ask makes a request and gives the answer's JSON.
func (in *inside) ask(method, path, body string) (*http.Response, map[string]any) {
	in.t.Helper()
	req, err := http.NewRequest(method, "http://aegis"+path, strings.NewReader(body))
	if err != nil {
		in.t.Fatal(err)
	}
	res, err := in.http.Do(req)
	if err != nil {
		in.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		in.t.Fatal(err)
	}
	var v map[string]any
	if len(text) > 0 && json.Unmarshal(text, &v) != nil {
		in.t.Errorf("%s %s: %q is no JSON", method, path, text)
	}
	return res, v
}

// answering is a host that answers each event with what answer makes of it.
func (in *inside) answering(answer func(wire.GuestEvent) wire.EventReply) <-chan wire.GuestEvent {
	in.t.Helper()
	w, err := in.link.Watch(in.t.Context())
	if err != nil {
		in.t.Fatal(err)
	}
	heard := make(chan wire.GuestEvent, 99)
	go func() {
		for {
			e, err := w.Next()
			if err != nil {
				return
			}
			heard <- e
			r := answer(e)
			r.ID = e.ID
			if w.Answer(r) != nil {
				return
			}
		}
	}()
	in.t.Cleanup(w.Close)
	return heard
}

func TestSelf(t *testing.T) {
	in := newInside(t)
	if info, err := os.Stat(in.socket); err != nil || info.Mode().Perm() != 0o666 {
		t.Errorf("the socket is %v, %v", info.Mode(), err)
	}
	res, v := in.ask("GET", "/v1/self", "")
	var want map[string]any
	text, _ := json.Marshal(box)
	json.Unmarshal(text, &want)
	want["lease"] = nil
	got, _ := json.Marshal(v)
	text, _ = json.Marshal(want)
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/json" || string(got) != string(text) {
		t.Errorf("%s %s, want %s", res.Status, got, text)
	}
	for request, c := range map[string]struct {
		status int
		allow  string
	}{
		"HEAD /v1/self":       {200, ""},
		"GET /":               {404, ""},
		"GET /v1/self/":       {404, ""},
		"GET /v1/instances":   {404, ""},
		"POST /v1/self":       {405, "GET, HEAD"},
		"GET /v1/self/lease":  {405, "POST, DELETE"},
		"PUT /v1/self/lease":  {405, "POST, DELETE"},
		"POST /v1/self/lease": {422, ""},
	} {
		method, path, _ := strings.Cut(request, " ")
		res, v := in.ask(method, path, "")
		if res.StatusCode != c.status || res.Header.Get("Allow") != c.allow {
			t.Errorf("%s: %s, Allow %q", request, res.Status, res.Header.Get("Allow"))
		}
		if c.status >= 400 && (res.Header.Get("Content-Type") != "application/problem+json" || v["code"] == "" || v["detail"] == "" || v["status"] != float64(c.status)) {
			t.Errorf("%s: the problem is %v", request, v)
		}
	}
}

func TestLease(t *testing.T) {
	in := newInside(t)
	until := time.Now().Add(time.Hour).UTC()
	heard := in.answering(func(e wire.GuestEvent) wire.EventReply {
		switch {
		case e.Lease == nil:
			return wire.EventReply{}
		case e.Lease.Reason == "refuse me":
			return wire.EventReply{Error: &wire.Error{Kind: fault.WrongState, Why: "not now"}}
		case e.Lease.Reason == "short":
			return wire.EventReply{Until: time.Now()}
		}
		return wire.EventReply{Until: until}
	})
	if res, v := in.ask("POST", "/v1/self/lease", `{"for":"10m","reason":"tests – all"}`); res.StatusCode != 200 || v["until"] != until.Format(time.RFC3339Nano) || v["reason"] != "tests – all" {
		t.Errorf("taken: %s %v", res.Status, v)
	}
	if e := <-heard; e.Release || *e.Lease != (wire.Lease{For: 10 * time.Minute, Reason: "tests – all"}) {
		t.Errorf("the host heard %+v", e)
	}
	lease := func() any { _, v := in.ask("GET", "/v1/self", ""); return v["lease"] }
	if l, ok := lease().(map[string]any); !ok || l["reason"] != "tests – all" || l["until"] != until.Format(time.RFC3339Nano) {
		t.Errorf("held: %v", l)
	}
	if res, v := in.ask("POST", "/v1/self/lease", `{"for":"5m","reason":"refuse me"}`); res.StatusCode != 409 || v["detail"] != "not now" || lease() == nil {
		t.Errorf("refused: %s %v, then %v", res.Status, v, lease())
	}
	<-heard
	if in.ask("POST", "/v1/self/lease", `{"for":"1s","reason":"short"}`); lease() != nil {
		t.Errorf("a lease that is over: %v", lease())
	}
	in.ask("POST", "/v1/self/lease", `{"for":"1h"}`)
	<-heard
	<-heard
	if res, _ := in.ask("DELETE", "/v1/self/lease", ""); res.StatusCode != 204 || lease() != nil {
		t.Errorf("released: %s, then %v", res.Status, lease())
	}
	if e := <-heard; !e.Release || e.Lease != nil {
		t.Errorf("the host heard %+v", e)
	}
	for _, body := range []string{``, `{`, `[]`, `{}`, `{"for":600}`, `{"for":"10m","why":"x"}`, `{"for":"10m"}{}`, `{"for":"10m"} x`,
		`{"for":"ten"}`, `{"for":"0s"}`, `{"for":"-1h"}`, `{"for":"25h"}`, `{"for":"1m","reason":"a\u001b[2J"}`, `{"for":"1m","reason":"` + strings.Repeat("x", 201) + `"}`} {
		if res, v := in.ask("POST", "/v1/self/lease", body); res.StatusCode != 422 || v["code"] != "invalid" {
			t.Errorf("%.60s: %s %v", body, res.Status, v)
		}
	}
	if len(heard) > 0 {
		t.Errorf("the host heard of a bad one: %+v", <-heard)
	}
}

// TestLeaseWaitsForTheHost is a command that is quicker than the host's watch.
func TestLeaseWaitsForTheHost(t *testing.T) {
	in := newInside(t)
	status := make(chan int)
	go func() {
		res, _ := in.ask("POST", "/v1/self/lease", `{"for":"1m"}`)
		status <- res.StatusCode
	}()
	in.answering(func(e wire.GuestEvent) wire.EventReply { return wire.EventReply{Until: time.Now().Add(e.Lease.For)} })
	if got := <-status; got != 200 {
		t.Errorf("%d", got)
	}
}

// TestLeaseWithoutTheHost ends, however silent the host is.
func TestLeaseWithoutTheHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, begin := newSelf(""), time.Now()
		if _, err := s.ask(wire.GuestEvent{Release: true}); !fault.Is(err, fault.Unreachable) || time.Since(begin) != askTime {
			t.Errorf("nobody watches: %v after %s", err, time.Since(begin))
		}
		hostEnd, guestEnd := net.Pipe()
		go s.watch(guestEnd)
		go func() { // late with its first answer, wrong with its second
			var e wire.GuestEvent
			wire.ReadMessage(hostEnd, &wire.Reply{}, wire.MaxReply)
			wire.ReadMessage(hostEnd, &e, wire.MaxReply)
			time.Sleep(2 * askTime)
			wire.WriteMessage(hostEnd, wire.EventReply{ID: e.ID, Until: time.Now().Add(time.Hour)}, wire.MaxReply)
			wire.ReadMessage(hostEnd, &e, wire.MaxReply)
			wire.WriteMessage(hostEnd, wire.EventReply{ID: e.ID + 1}, wire.MaxReply)
		}()
		if _, err := s.ask(wire.GuestEvent{Lease: &wire.Lease{For: time.Hour}}); !fault.Is(err, fault.Timeout) {
			t.Errorf("no answer: %v", err)
		}
		time.Sleep(2 * askTime)
		synctest.Wait()
		if s.held() == nil {
			t.Error("an answer that came late does not count")
		}
		if _, err := s.ask(wire.GuestEvent{Release: true}); !fault.Is(err, fault.Unreachable) {
			t.Errorf("the wrong answer: %v", err)
		}
	})
}

// TestCallersAreBounded lets one caller more than there are slots wait for its turn.
func TestCallersAreBounded(t *testing.T) {
	in := newInside(t)
	in.http.CloseIdleConnections()
	var idle []net.Conn
	for range maxCallers {
		c, err := net.Dial("unix", in.socket)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		talk(t, c)
		idle = append(idle, c)
	}
	c, err := net.Dial("unix", in.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "HEAD /v1/self HTTP/1.1\r\nHost: x\r\n\r\n")
	c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("one too many is served: %d, %v", n, err)
	}
	idle[3].Close()
	c.SetReadDeadline(time.Now().Add(patience))
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Errorf("its turn never comes: %v", err)
	}
}

// talk makes one request on a connection that stays open.
func talk(t *testing.T, c net.Conn) {
	t.Helper()
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, "HEAD /v1/self HTTP/1.1\r\nHost: x\r\n\r\n")
	if n, err := c.Read(make([]byte, 1024)); n == 0 {
		t.Fatalf("no answer: %v", err)
	}
}

// TestShutdownEndsCallers leaves nothing open that could hold a mount.
func TestShutdownEndsCallers(t *testing.T) {
	in := newInside(t)
	c, err := net.Dial("unix", in.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	talk(t, c)
	if err := in.link.Shutdown(t.Context(), wire.Shutdown{Grace: time.Second}, func() {}); err != nil {
		t.Fatal(err)
	}
	<-in.host.stopped
	c.SetReadDeadline(time.Now().Add(time.Second)) // it is closed by now, not after http1's patience
	if _, err := c.Read(make([]byte, 1)); err != io.EOF && !errors.Is(err, os.ErrClosed) {
		t.Errorf("a connection after the shutdown: %v", err)
	}
	if _, err := net.Dial("unix", in.socket); err == nil {
		t.Error("the socket still listens")
	}
}
