package router

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"aegis/internal/instance"
)

func itoa[T ~int | ~uint16](n T) string { return strconv.Itoa(int(n)) }

// raw sends bytes and gives what comes back until the other side closes.
func raw(t *testing.T, addr, request string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(c, request)
	answer, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

func TestRequestArrivesAsSent(t *testing.T) {
	f := app(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s|%s|%s|%s|%s|%s|%s|%q|%q", r.Method, r.RequestURI, r.Host,
			r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Forwarded-Host"), r.Header.Get("X-Forwarded-Proto"),
			r.Header.Get("Hop"), r.Header.Values("Accept-Encoding"), r.Header.Values("User-Agent"))
	})
	_, addr := expose(t, f, instance.HTTP)
	got := raw(t, addr, "GET //a%2Fb/../c?x=1;y=%zz&&z HTTP/1.1\r\nHost: Odd.Example:1\r\nConnection: close, Hop\r\n"+
		"Hop: 1\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Host: evil\r\n\r\n")
	want := `GET|//a%2Fb/../c?x=1;y=%zz&&z|Odd.Example:1|127.0.0.1|Odd.Example:1|http||[]|[]`
	if !strings.HasSuffix(got, want) {
		t.Fatalf("got %s\nwant …%s", got, want)
	}
}

func TestRequestWithoutHost(t *testing.T) {
	f := app(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "host="+r.Host) })
	_, addr := expose(t, f, instance.HTTP)
	if got := raw(t, addr, "GET / HTTP/1.0\r\n\r\n"); !strings.HasSuffix(got, "host=localhost:80") {
		t.Fatal(got)
	}
}

func TestAnswerArrivesAsSent(t *testing.T) {
	page := "<html>" + strings.Repeat(" ", 64<<10) // more than one read, or it hardly ever goes out with the header
	f := rawApp(t, func(c *net.TCPConn) {
		http.ReadRequest(bufio.NewReader(c))
		fmt.Fprintf(c, "HTTP/1.1 299 Odd\r\nContent-Length: %d\r\nConnection: X-Hop\r\nX-Hop: 1\r\nX-End: 2\r\n\r\n%s", len(page), page)
	})
	_, addr := expose(t, f, instance.HTTP)
	for range 100 { // the server guesses a type only when body and header go out together
		res, body := get(t, "http://"+addr)
		h := res.Header
		if res.StatusCode != 299 || body != page || h.Get("X-End") != "2" || h.Get("X-Hop") != "" || h.Values("Content-Type") != nil {
			t.Fatal(res)
		}
		if h.Get("Server-Timing") != "" {
			t.Fatal("said it waited, though it did not")
		}
	}
}

func TestConnectAndOptions(t *testing.T) {
	f := app(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Method+" "+r.RequestURI) })
	_, addr := expose(t, f, instance.HTTP)
	if got := raw(t, addr, "CONNECT 10.0.0.1:22 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 405 ") {
		t.Error(got)
	}
	if n := f.dials.Load(); n != 0 {
		t.Error("CONNECT reached the guest")
	}
	if got := raw(t, addr, "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); f.dials.Load() != 1 || !strings.HasPrefix(got, "HTTP/1.1 200") {
		t.Error(got)
	}
}

func TestServerSentEventsComeAtOnce(t *testing.T) {
	next := make(chan struct{})
	f := app(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/sized" { // not events, and of a known length: the same must hold
			w.Header().Set("Content-Length", "27")
		} else {
			w.Header().Set("Content-Type", "text/event-stream")
		}
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			w.(http.Flusher).Flush()
			<-next // the client has read it
		}
	})
	_, addr := expose(t, f, instance.HTTP)
	for _, path := range []string{"/events", "/sized"} {
		res, err := http.Get("http://" + addr + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		lines := bufio.NewScanner(res.Body)
		for i := range 3 {
			lines.Scan()
			if lines.Text() != "data: "+itoa(i) {
				t.Fatal(lines.Text())
			}
			lines.Scan()
			next <- struct{}{}
		}
	}
}

func TestExpectContinue(t *testing.T) {
	f := app(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/no" {
			w.WriteHeader(http.StatusExpectationFailed)
			return
		}
		body, _ := io.ReadAll(r.Body)
		w.Write(body)
	})
	_, addr := expose(t, f, instance.HTTP)
	for path, want := range map[string]string{"/yes": "HTTP/1.1 100 Continue\r\n", "/no": "HTTP/1.1 417 Expectation Failed\r\n"} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(20 * time.Second))
		fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n", path)
		in := bufio.NewReader(c)
		if line, err := in.ReadString('\n'); line != want {
			t.Fatalf("%s: %q %v", path, line, err)
		}
		if path == "/no" {
			continue
		}
		in.ReadString('\n')
		io.WriteString(c, "hello")
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if body, _ := io.ReadAll(res.Body); string(body) != "hello" {
			t.Fatalf("%q", body)
		}
	}
}

func TestTrailers(t *testing.T) {
	f := app(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Trailer", "Named")
		io.WriteString(w, "body")
		w.Header().Set("Named", r.Trailer.Get("Up"))
		w.Header().Set(http.TrailerPrefix+"Unnamed", "2")
	})
	_, addr := expose(t, f, instance.HTTP)
	req, _ := http.NewRequest("POST", "http://"+addr, io.NopCloser(strings.NewReader("x")))
	req.Trailer = http.Header{"Up": {"1"}}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	io.Copy(io.Discard, res.Body)
	if res.Trailer.Get("Named") != "1" || res.Trailer.Get("Unnamed") != "2" {
		t.Fatal(res.Trailer)
	}
}

func TestAnswerBeforeTheRequestEnds(t *testing.T) {
	f := app(t, func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		in := bufio.NewReader(r.Body)
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			io.WriteString(w, line)
			w.(http.Flusher).Flush()
		}
	})
	_, addr := expose(t, f, instance.HTTP)
	body, feed := io.Pipe()
	go io.WriteString(feed, "one\n")
	res, err := http.Post("http://"+addr, "text/plain", body)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	in := bufio.NewReader(res.Body)
	for _, say := range []string{"one\n", "two\n"} {
		if say != "one\n" {
			io.WriteString(feed, say)
		}
		if line, err := in.ReadString('\n'); line != say {
			t.Fatal(line, err)
		}
	}
	feed.Close()
}

func TestSlowHeaderIsCut(t *testing.T) {
	f := app(t, func(http.ResponseWriter, *http.Request) {})
	_, addr := expose(t, f, instance.HTTP, func(r *Router) { r.limits.header = 50 * time.Millisecond })
	raw(t, addr, "GET / HTTP/1.1\r\nHost: x\r\nX: ") // returns when cut
	if f.dials.Load() != 0 {
		t.Fatal("half a header reached the guest")
	}
}

func TestIdleClientIsCut(t *testing.T) {
	f := app(t, func(http.ResponseWriter, *http.Request) {})
	_, addr := expose(t, f, instance.HTTP, func(r *Router) { r.limits.idle = 50 * time.Millisecond })
	if got := raw(t, addr, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 200") {
		t.Fatal(got)
	}
}

func TestBigHeadersAreRefused(t *testing.T) {
	f := app(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/big" {
			w.Header().Set("X", strings.Repeat("x", 2<<20))
		}
	})
	_, addr := expose(t, f, instance.HTTP)
	if res, _ := get(t, "http://"+addr+"/big"); res.StatusCode != http.StatusBadGateway {
		t.Error("a response's header of 2 MiB passed:", res.Status)
	}
	req, _ := http.NewRequest("GET", "http://"+addr, nil)
	req.Header.Set("X", strings.Repeat("x", 512<<10))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Error("a request's header of 512 KiB passed:", res.Status)
	}
}
