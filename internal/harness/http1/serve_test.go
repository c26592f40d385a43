package http1

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// memory is a connection whose client has sent everything and reads at the end.
type memory struct {
	net.Conn
	in     io.Reader
	out    bytes.Buffer
	closed bool
}

func (m *memory) Read(p []byte) (int, error)     { return m.in.Read(p) }
func (m *memory) Write(p []byte) (int, error)    { return m.out.Write(p) }
func (m *memory) Close() error                   { m.closed = true; return nil }
func (*memory) SetDeadline(time.Time) error      { return nil }
func (*memory) SetReadDeadline(time.Time) error  { return nil }
func (*memory) SetWriteDeadline(time.Time) error { return nil }

// echo answers with what it was asked.
func echo(r Request) Response {
	if r.Path == "/gone" {
		return Response{Status: 204}
	}
	return Response{Status: 200, Type: "text/plain", Body: fmt.Appendf(nil, "%s %s %s", r.Method, r.Path, r.Body)}
}

// exchange sends text and returns everything that is answered.
func exchange(t testing.TB, text string) string {
	t.Helper()
	m := &memory{in: strings.NewReader(text)}
	Serve(m, echo)
	if !m.closed {
		t.Errorf("%.60q: the connection was left open", text)
	}
	return m.out.String()
}

// answers reads what came as HTTP, one "status body" a response; method is the request's.
func answers(t testing.TB, text, method string) (out []string) {
	t.Helper()
	in := bufio.NewReader(strings.NewReader(text))
	for {
		if _, err := in.Peek(1); err == io.EOF {
			return out
		}
		res, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("%q is no HTTP: %v", text, err)
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if _, err := http.ParseTime(res.Header.Get("Date")); err != nil && res.StatusCode != 100 {
			t.Errorf("Date: %v", err)
		}
		if res.Close {
			body = append(body, " (close)"...)
		}
		out = append(out, fmt.Sprintf("%d %s", res.StatusCode, body))
	}
}

func TestServe(t *testing.T) {
	const host = "Host: x\r\n\r\n"
	for text, want := range map[string]string{
		"GET / HTTP/1.1\r\n" + host:              "200 GET / ",
		"GET / HTTP/1.1\nHost: x\n\n":            "200 GET / ",
		"\r\n\r\nGET / HTTP/1.1\r\n" + host:      "200 GET / ",
		"GET /a?b=c HTTP/1.1\r\n" + host:         "200 GET /a ",
		"GET http://x/a/b?c HTTP/1.1\r\n" + host: "200 GET /a/b ",
		"GET http://x HTTP/1.1\r\n" + host:       "200 GET / ",
		"GET /u?r=a://b HTTP/1.1\r\n" + host:     "200 GET /u ",
		"OPTIONS * HTTP/1.1\r\n" + host:          "200 OPTIONS * ",
		"GET / HTTP/1.1\r\nConnection: TE , Close\r\n" + host + "GET /2 HTTP/1.1\r\n" + host: "200 GET /  (close)",
		"GET / HTTP/1.0\r\n\r\n": "200 GET /  (close)",
		"DELETE /gone HTTP/1.1\r\n" + host + "GET / HTTP/1.1\r\n" + host:                     "204 |200 GET / ",
		"POST / HTTP/1.1\r\ncontent-LENGTH:\t2 \r\n" + host + "{}GET /2 HTTP/1.1\r\n" + host: "200 POST / {}|200 GET /2 ",
		"POST / HTTP/1.1\r\nContent-Length: 3\r\n" + host + "{}":                             "",
		"POST / HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-Continue\r\n" + host + "{}":     "100 |200 POST / {}",
		"POST / HTTP/1.1\r\nExpect: 100-continue\r\n" + host:                                 "200 POST / ",
		"GET / HTTP/1.1\r\nX: \xff\xfe\r\n" + host:                                           "200 GET / ",
		"": "", "GET": "", "GET / HTTP/1.1\r\nHost: x\r\n": "",
	} {
		if got := strings.Join(answers(t, exchange(t, text), "GET"), "|"); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if text := exchange(t, "DELETE /gone HTTP/1.1\r\n"+host); strings.Contains(text, "Content-Length") || !strings.HasSuffix(text, "\r\n\r\n") {
		t.Errorf("204: %q", text)
	}
	full := exchange(t, "HEAD /abc HTTP/1.1\r\n"+host)
	if got := answers(t, full, "HEAD"); len(got) != 1 || got[0] != "200 " || !strings.Contains(full, "Content-Length: 10\r\n") {
		t.Errorf("HEAD: %q", full)
	}
}

func TestRefuses(t *testing.T) {
	big := strings.Repeat("x", MaxHead)
	for text, want := range map[string]int{
		"nonsense\r\n\r\n":                                                               400,
		"GET  / HTTP/1.1\r\nHost: x\r\n\r\n":                                             400,
		"GET / HTTP/1.1 \r\nHost: x\r\n\r\n":                                             400,
		"G(T / HTTP/1.1\r\nHost: x\r\n\r\n":                                              400,
		"GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n":                                          400,
		"GET / http/1.1\r\nHost: x\r\n\r\n":                                              400,
		"GET / HTTP/1.1\r\n\r\n":                                                         400,
		"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n":                                   400,
		"GET / HTTP/1.1\r\nHost : a\r\n\r\n":                                             400,
		"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n":                                        400,
		"GET / HTTP/1.1\r\nHost: a\r\nb\r\n\r\n":                                         400,
		"GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n":                                           400,
		"GET / HTTP/1.1\r\nHost: a\x00\r\n\r\n":                                          400,
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":                                               505,
		"GET / HTTP/2.0\r\nHost: x\r\n\r\n":                                              505,
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n":      411,
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4097\r\n\r\n":                     413,
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n":     413,
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n":                       400,
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n":                       400,
		"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nxx": 400,
		"POST / HTTP/1.1\r\nHost: x\r\nExpect: 200-ok\r\n\r\n":                           417,
		"GET /" + big + " HTTP/1.1\r\nHost: x\r\n\r\n":                                   431,
		"GET / HTTP/1.1\r\nHost: x\r\n" + strings.Repeat("A: b\r\n", MaxHead/6) + "\r\n": 431,
		strings.Repeat("\r\n", MaxHead/2+1):                                              431,
	} {
		got := answers(t, exchange(t, text+"GET / HTTP/1.1\r\nHost: x\r\n\r\n"), "POST")
		if len(got) != 1 || !strings.HasPrefix(got[0], fmt.Sprint(want, " ")) || !strings.HasSuffix(got[0], "} (close)") {
			t.Errorf("%.60q: %q, want %d", text, got, want)
		}
	}
}

// TestPatience ends what comes too slowly, whatever it is.
func TestPatience(t *testing.T) {
	for name, sent := range map[string]string{
		"idle":         "",
		"half a head":  "GET / HTTP/1.1\r\nHo",
		"half a body":  "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n{",
		"deaf":         "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"deaf refused": "nonsense\r\n\r\n",
	} {
		synctest.Test(t, func(t *testing.T) {
			here, there := net.Pipe() // unbuffered: who does not read holds back
			begin := time.Now()
			done := make(chan struct{})
			go func() { Serve(there, echo); close(done) }()
			io.WriteString(here, sent)
			<-done
			if took := time.Since(begin); took != Patience {
				t.Errorf("%s: it took %s", name, took)
			}
		})
	}
}

// TestSlowHandler gives an answer its own time, however long it took to make.
func TestSlowHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			Serve(there, func(r Request) Response { time.Sleep(2 * Patience); return echo(r) })
		}()
		io.WriteString(here, "GET / HTTP/1.0\r\n\r\n")
		time.Sleep(2*Patience + Patience/2)
		if text, err := io.ReadAll(here); err != nil || !strings.HasSuffix(string(text), "GET / ") {
			t.Errorf("%q, %v", text, err)
		}
		<-done
	})
}

// FuzzServe sends anything. What comes back is HTTP, and what is taken for a request
// is one for the standard library too, with the same meaning.
func FuzzServe(f *testing.F) {
	f.Add([]byte("GET /v1/self HTTP/1.1\r\nHost: aegis\r\n\r\nDELETE http://a/b?c HTTP/1.0\n\n"))
	f.Add([]byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n{\"a\"}"))
	f.Add([]byte("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		theirs := bufio.NewReader(bytes.NewReader(data))
		m := &memory{in: bytes.NewReader(data)}
		lost := false // a request that the library refuses leaves it in the middle of the bytes
		Serve(m, func(r Request) Response {
			if lost {
				return Response{Status: 204}
			}
			skipLines(theirs)
			req, err := http.ReadRequest(theirs)
			if err != nil {
				if lost = true; !stricter(err) {
					t.Errorf("%+v is no request for the standard library: %v", r, err)
				}
				return Response{Status: 204}
			}
			body, err := io.ReadAll(req.Body)
			if err != nil || req.Method != r.Method || !bytes.Equal(body, r.Body) {
				t.Errorf("%+v; the standard library reads %s with %q, %v", r, req.Method, body, err)
			}
			return Response{Status: 204}
		})
		answers(t, m.out.String(), "GET")
	})
}

// skipLines passes over the empty lines before a request, as RFC 9112 (2.2) asks.
func skipLines(in *bufio.Reader) {
	for {
		if b, _ := in.Peek(1); len(b) == 1 && b[0] == '\n' {
			in.Discard(1)
		} else if b, _ := in.Peek(2); string(b) == "\r\n" {
			in.Discard(2)
		} else {
			return
		}
	}
}

// stricter are refusals of the standard library's that no grammar asks for here: it
// parses targets and hosts, which the harness only compares or counts.
func stricter(err error) bool {
	for _, part := range []string{"parse ", "invalid URI", "malformed Host", "missing form", "invalid URL", "unsupported protocol", "malformed HTTP version"} {
		if strings.Contains(err.Error(), part) {
			return true
		}
	}
	return false
}
