package router

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"aegis/internal/fault"
	"aegis/internal/instance"
)

// fake is instances that are servers of this process.
type fake struct {
	addr  string                      // of the app
	delay time.Duration               // of a wake
	hold  chan struct{}               // when set, Dial waits until it is closed
	fail  atomic.Pointer[fault.Error] // when set, Dial fails so
	names map[string][]uint16         // exposed ports behind the front door
	ended func()                      // when set, called by each Close before it ends

	dials atomic.Int64
	open  atomic.Int64 // connections that count as activity

	mu    sync.Mutex
	conns []*fakeConn
}

type fakeConn struct {
	*net.TCPConn
	of   *fake
	once sync.Once
}

func (c *fakeConn) Close() error {
	c.once.Do(func() {
		if c.of.ended != nil {
			c.of.ended()
		}
		c.of.open.Add(-1)
	})
	return c.TCPConn.Close()
}

func (f *fake) Dial(ctx context.Context, id string, port uint16) (net.Conn, time.Duration, error) {
	f.dials.Add(1)
	if f.hold != nil {
		select {
		case <-f.hold:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
	if e := f.fail.Load(); e != nil {
		return nil, 0, e
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", f.addr)
	if err != nil {
		return nil, 0, err
	}
	f.open.Add(1)
	c := &fakeConn{TCPConn: conn.(*net.TCPConn), of: f}
	f.mu.Lock()
	f.conns = append(f.conns, c)
	f.mu.Unlock()
	return c, f.delay, nil
}

func (f *fake) Lookup(name string, port uint16) (string, uint16, error) {
	for _, p := range f.names[name] {
		if port == 0 || p == port {
			return "inst-" + name, p, nil
		}
	}
	return "", 0, fault.New(fault.NotFound, name, "find", "it isn't there")
}

// kill breaks every connection to the app, as the death of a VM does.
func (f *fake) kill() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.conns {
		c.SetLinger(0)
		c.TCPConn.Close()
	}
}

// app starts an HTTP app, of HTTP/1 and h2c.
func app(t testing.TB, h http.HandlerFunc) *fake {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.Config.Protocols = new(http.Protocols)
	srv.Config.Protocols.SetHTTP1(true)
	srv.Config.Protocols.SetUnencryptedHTTP2(true)
	srv.Start()
	t.Cleanup(srv.Close)
	return &fake{addr: srv.Listener.Addr().String()}
}

// rawApp starts an app that gets each connection raw.
func rawApp(t *testing.T, serve func(*net.TCPConn)) *fake {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				serve(c.(*net.TCPConn))
			}()
		}
	}()
	return &fake{addr: l.Addr().String()}
}

// expose claims one port for the app, and checks at the end that closing it ends
// every goroutine and every guest connection.
func expose(t testing.TB, f *fake, protocol string, shape ...func(*Router)) (*Claim, string) {
	t.Helper()
	c, addr := open(t, f, protocol, shape...)
	c.Serve("inst-web")
	return c, addr
}

// open is expose without Serve.
func open(t testing.TB, f *fake, protocol string, shape ...func(*Router)) (*Claim, string) {
	t.Helper()
	before := goleak.IgnoreCurrent()
	r := New(f, Options{WakeTimeout: 20 * time.Second})
	for _, s := range shape {
		s(r)
	}
	c, err := r.Claim([]instance.Port{{Guest: 80, Protocol: protocol}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		deadline := time.Now().Add(10 * time.Second) // the server lingers half a second after an error
		for err := error(nil); ; {
			if err = goleak.Find(before); err == nil {
				break
			} else if time.Now().After(deadline) {
				t.Error(err)
				break
			}
		}
		if n := f.open.Load(); n != 0 {
			t.Errorf("%d guest connections are still open", n)
		}
	})
	p := c.Ports()[0]
	return c, net.JoinHostPort(p.IP, itoa(p.Host))
}

// get fetches one page on a new connection.
func get(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	return fetch(t, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, url)
}

func fetch(t *testing.T, c *http.Client, url string) (*http.Response, string) {
	t.Helper()
	res, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

// eventually waits for what other goroutines bring about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("never happened: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// spy tells when a Dial has ended.
type spy struct {
	*fake
	ended func()
}

func (s spy) Dial(ctx context.Context, id string, port uint16) (net.Conn, time.Duration, error) {
	defer s.ended()
	return s.fake.Dial(ctx, id, port)
}
