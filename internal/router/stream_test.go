package router

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"aegis/internal/instance"
)

// upgrade is an app that echoes raw bytes after a switch of protocols, until the
// client has ended its half, and then says goodbye.
func upgrade(w http.ResponseWriter, r *http.Request) {
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	io.WriteString(rw, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+r.Header.Get("Upgrade")+
		"\r\nSec-WebSocket-Accept: x\r\n\r\n")
	rw.Flush()
	io.Copy(c, rw)
	io.WriteString(c, "bye")
}

// switched opens an upgraded stream through the router.
func switched(t *testing.T, addr string) (*net.TCPConn, *bufio.Reader) {
	t.Helper()
	c := dialTCP(t, addr)
	io.WriteString(c, "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n")
	in := bufio.NewReader(c)
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != 101 || res.Header.Get("Sec-WebSocket-Accept") != "x" || res.Header.Get("Server-Timing") != "wake;dur=1000.000" {
		t.Fatal(res)
	}
	return c, in
}

func TestWebSocket(t *testing.T) {
	f := app(t, upgrade)
	f.delay = time.Second
	_, addr := expose(t, f, instance.HTTP)
	c, in := switched(t, addr)
	for _, say := range []string{"hello", "\x00\xff\x80 world"} {
		io.WriteString(c, say)
		got := make([]byte, len(say))
		if _, err := io.ReadFull(in, got); err != nil || string(got) != say {
			t.Fatal(string(got), err)
		}
	}
	if n := f.open.Load(); n != 1 {
		t.Fatalf("%d open", n)
	}
	c.CloseWrite()
	if rest, err := io.ReadAll(in); err != nil || string(rest) != "bye" {
		t.Fatal("half-close:", string(rest), err)
	}
}

func TestCloseEndsWebSockets(t *testing.T) {
	f := app(t, upgrade)
	f.delay = time.Second
	claim, addr := expose(t, f, instance.HTTP)
	_, in := switched(t, addr)
	claim.Close()
	if rest, err := io.ReadAll(in); err == nil && len(rest) > 0 {
		t.Fatal(string(rest))
	}
	eventually(t, "guest's end closes", func() bool { return f.open.Load() == 0 })
}

// h2c is a client that knows beforehand that the server speaks HTTP/2.
func h2c(t *testing.T) *http.Client {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	tr := &http.Transport{Protocols: p, DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// grpcApp does what a gRPC server does of HTTP: it echoes messages as they come
// and ends with a status in the trailer, or has nothing but a trailer.
func grpcApp(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor != 2 || r.Header.Get("Te") != "trailers" {
		http.Error(w, "not gRPC: "+r.Proto, 400)
		return
	}
	w.Header().Set("Content-Type", "application/grpc")
	if r.URL.Path == "/refused" {
		w.Header().Set("Grpc-Status", "12")
		return
	}
	w.(http.Flusher).Flush()
	buf := make([]byte, 100)
	for {
		n, err := r.Body.Read(buf)
		w.Write(buf[:n])
		w.(http.Flusher).Flush()
		if err != nil {
			break
		}
	}
	w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
}

func call(t *testing.T, c *http.Client, url string, body io.Reader) *http.Response {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	req, _ := http.NewRequestWithContext(ctx, "POST", url, body)
	req.Header.Set("Te", "trailers")
	req.Header.Set("Content-Type", "application/grpc")
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { res.Body.Close() })
	return res
}

func TestGRPC(t *testing.T) {
	f := app(t, grpcApp)
	_, addr := expose(t, f, instance.HTTP)
	c := h2c(t)
	up, feed := io.Pipe()
	res := call(t, c, "http://"+addr+"/echo", up) // its header comes before anything is sent
	for i := range 5 {
		say := fmt.Sprintf("message %d", i)
		io.WriteString(feed, say)
		got := make([]byte, len(say))
		if _, err := io.ReadFull(res.Body, got); err != nil || string(got) != say {
			t.Fatal(string(got), err)
		}
	}
	feed.Close()
	if rest, err := io.ReadAll(res.Body); err != nil || len(rest) != 0 || res.Trailer.Get("Grpc-Status") != "0" {
		t.Fatal(rest, err, res.Trailer)
	}
	if res := call(t, c, "http://"+addr+"/refused", strings.NewReader("x")); res.StatusCode != 200 || res.Header.Get("Grpc-Status") != "12" {
		t.Fatal(res)
	}
	if n := f.dials.Load(); n != 1 {
		t.Fatalf("%d dials for two calls in a row", n)
	}
}

func TestHTTP2StreamsShareAConnection(t *testing.T) {
	release := make(chan struct{})
	f := app(t, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		<-release
		io.WriteString(w, r.URL.Path)
	})
	_, addr := expose(t, f, instance.HTTP)
	c := h2c(t)
	first, err := c.Get("http://" + addr + "/first")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Body.Close()
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			path := "/" + itoa(i)
			res, err := c.Get("http://" + addr + path)
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			if i == 99 {
				close(release)
			}
			if body, err := io.ReadAll(res.Body); err != nil || string(body) != path {
				t.Error(string(body), err)
			}
		})
	}
	all.Wait()
	if n := f.dials.Load(); n != 1 {
		t.Fatalf("%d dials", n)
	}
	first.Body.Close()
	eventually(t, "the shared connection closes", func() bool { return f.open.Load() == 0 })
}

func TestHTTP2ClientOfAnHTTP1App(t *testing.T) {
	f := rawApp(t, func(c *net.TCPConn) {
		io.WriteString(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
		io.Copy(io.Discard, c)
	})
	_, addr := expose(t, f, instance.HTTP)
	res, err := h2c(t).Get("http://" + addr)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != 502 {
		t.Fatal(res)
	}
}

// zeros is an endless body of unknown length, so that it goes in chunks.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestBigBodiesNeedNoMemory sends a gigabyte up and a gigabyte down in one
// exchange, over both protocols.
func TestBigBodiesNeedNoMemory(t *testing.T) {
	const size = 1 << 30
	if testing.Short() {
		t.Skip("pending: -short leaves out the gigabytes")
	}
	f := app(t, func(w http.ResponseWriter, r *http.Request) {
		if n, err := io.Copy(io.Discard, r.Body); n != size || err != nil {
			t.Error("up:", n, err)
		}
		io.Copy(w, io.LimitReader(zeros{}, size))
	})
	_, addr := expose(t, f, instance.HTTP)
	for name, c := range map[string]*http.Client{"HTTP/1": {Transport: &http.Transport{DisableKeepAlives: true}}, "HTTP/2": h2c(t)} {
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		res, err := c.Post("http://"+addr, "", io.LimitReader(zeros{}, size))
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if n != size || err != nil {
			t.Error(name, "down:", n, err)
		}
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 64<<20 {
			t.Errorf("%s: the heap grew by %d MiB", name, grown>>20)
		}
	}
}
