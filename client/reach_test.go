package client_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aegis/client"
	"aegis/internal/api"
	"aegis/internal/api/apitest"
	"aegis/internal/fault"
)

// TestReach holds that looking for the daemon costs no request and no second connection.
func TestReach(t *testing.T) {
	l, err := net.Listen("unix", socket(t))
	if err != nil {
		t.Fatal(err)
	}
	states := make(chan http.ConnState, 9)
	server := &http.Server{Handler: api.Handler((&apitest.Fake{}).Services()), ConnState: func(_ net.Conn, s http.ConnState) { states <- s }}
	go server.Serve(l)
	defer server.Close()
	want := func(all ...http.ConnState) {
		t.Helper()
		for _, s := range all {
			if got := <-states; got != s {
				t.Fatalf("a connection is %s, want %s", got, s)
			}
		}
	}
	c := client.New(l.Addr().String())
	if err := c.Reach(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(http.StateNew)
	if err := c.Reach(t.Context()); err != nil { // twice is once
		t.Fatal(err)
	}
	want(http.StateNew, http.StateClosed)
	if _, err := c.Version(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(http.StateActive, http.StateIdle) // of the first: no other is new
	if err := c.Reach(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(http.StateNew)
	c.Close()
	want(http.StateClosed, http.StateClosed) // both
}

// TestRevive sends to daemons that die: before they take the connection, before they
// read, and after. What one of them may have done is not done again.
func TestRevive(t *testing.T) {
	none := func(net.Listener) {}
	taken := func(l net.Listener) {
		if conn, err := l.Accept(); err == nil {
			time.Sleep(10 * time.Millisecond) // let the request come
			conn.Close()
		}
	}
	read := func(l net.Listener) {
		if conn, err := l.Accept(); err == nil {
			conn.Read(make([]byte, 4096))
			conn.Close()
		}
	}
	for _, c := range []struct {
		name       string
		die        func(net.Listener)
		get, start bool // whether they outlast it
	}{{"none", none, true, true}, {"taken", taken, true, true}, {"read", read, true, false}} {
		t.Run(c.name, func(t *testing.T) {
			outlasts := func(want bool, what string, ask func(*client.Client) error) {
				l, err := net.Listen("unix", socket(t))
				if err != nil {
					t.Fatal(err)
				}
				go func() {
					time.Sleep(10 * time.Millisecond) // in which the request is written
					c.die(l)
					l.Close()
				}()
				revived := 0
				a := client.New(l.Addr().String())
				a.Revive(func(ctx context.Context) error {
					if a.Reach(ctx) == nil {
						return nil
					}
					revived++
					stop, err := (&apitest.Fake{}).Serve(l.Addr().String())
					if err == nil {
						t.Cleanup(stop)
					}
					return err
				})
				if err := a.Reach(t.Context()); err != nil {
					t.Fatal(err)
				}
				if err := ask(a); fault.Is(err, fault.Unreachable) == want || want != (revived == 1) {
					t.Errorf("%s: %v, revived %d times, outlasts: %t", what, err, revived, want)
				}
			}
			outlasts(c.get, "GET", func(a *client.Client) error { _, err := a.Version(t.Context()); return err })
			outlasts(c.start, "POST", func(a *client.Client) error { return a.Pause(t.Context(), "web") })
			outlasts(false, "a stream", func(a *client.Client) error {
				_, err := a.ImportImage(t.Context(), client.ImportImage{}, io.MultiReader(strings.NewReader("tar")), nil)
				return err
			})
		})
	}
}

func TestNoDaemon(t *testing.T) {
	c := client.New(filepath.Join(t.TempDir(), "s"))
	wantFault(t, c.Reach(t.Context()), fault.Unreachable, "reach the daemon: no daemon answers at ")
	_, err := c.Version(t.Context())
	wantFault(t, err, fault.Unreachable, "no daemon answers at ")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.Version(ctx)
	wantFault(t, err, fault.Cancelled, "it was cancelled")
}

// TestDeadline hits every moment of a call: before the dial, in it, behind it.
func TestDeadline(t *testing.T) {
	c := running(t, &apitest.Fake{})
	for wait := time.Duration(0); wait < 3*time.Millisecond; wait += 20 * time.Microsecond {
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		_, err := c.Exec(ctx, "web", client.Exec{Command: []string{"sleep"}}, client.IO{})
		wantFault(t, err, fault.Timeout, "it took too long")
		cancel()
	}
}

// TestStrangeDaemons pins what is said of a server that answers no problem.
func TestStrangeDaemons(t *testing.T) {
	for _, c := range []struct {
		answer string
		kind   fault.Kind
		text   string
	}{
		{"", fault.Unreachable, "ended the connection before it answered"},
		{"HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\nno", fault.Internal, "answered 500 Oops without a reason"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{\"version\":", fault.Unreachable, "went away in the middle"},
		{"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n<p>", fault.Internal, "can't be read"},
	} {
		l, err := net.Listen("unix", socket(t))
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				conn.Read(make([]byte, 4096))
				io.WriteString(conn, c.answer)
				conn.Close()
			}
		}()
		_, err = client.New(l.Addr().String()).Version(t.Context())
		wantFault(t, err, c.kind, c.text)
		if strings.Contains(err.Error(), "EOF") {
			t.Errorf("%q tells of EOF", err)
		}
		l.Close()
	}
}
