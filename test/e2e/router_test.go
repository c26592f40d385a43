package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// echo serves TCP: it reads to the end of what comes, and answers it reversed.
const echo = `
import socket, sys
family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
s = socket.socket(family); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
if family == socket.AF_INET6: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
s.bind((sys.argv[1], int(sys.argv[2]))); s.listen(100)
while True:
    c, peer = s.accept(); data = b''
    while True:
        got = c.recv(65536)
        if not got: break
        data += got
    c.sendall(data[::-1] + ('|%s|%d' % peer[:2]).encode()); c.close()
`

// reversed sends data, ends its direction, and returns the answer.
func reversed(addr string, data []byte) ([]byte, error) {
	conn, err := net.DialTimeout("tcp", addr, time.Minute)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(2 * time.Minute))
	if _, err := conn.Write(data); err != nil {
		return nil, err
	}
	conn.(*net.TCPConn).CloseWrite()
	return io.ReadAll(conn)
}

// TestTCP reaches apps on every loopback address of the guest, half-closes, and
// carries megabytes, also over a pause. Apps see them come from their own loopback: over
// the guest's network from ports of its own, and where that can't be over the link.
func TestTCP(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write(filepath.Join(h.cwd, "w/echo.py"), echo)
	h.ok("instance", "start", "--name", "echo", "--workspace", "./w", "--expose", "7001/tcp", "--expose", "7002/tcp", "--expose", "7003/tcp", "--expose", "7004/tcp",
		"--", "sh", "-c", "python echo.py 127.0.0.1 7001 & python echo.py 0.0.0.0 7002 & python echo.py ::1 7003 & exec python echo.py :: 7004")
	data := bytes.Repeat([]byte("0123456789"), 300_000)
	from := map[int]string{7001: "127.0.0.1", 7002: "127.0.0.1", 7003: "::1", 7004: "::1"}
	for _, port := range h.info("echo").Ports {
		for _, sent := range [][]byte{[]byte("abc"), data} {
			all, err := reversed(strings.TrimPrefix(port.URL, "tcp://"), sent)
			got, peer, _ := strings.Cut(string(all), "|")
			if err != nil || len(got) != len(sent) || got[0] != sent[len(sent)-1] {
				t.Errorf("guest port %d: %d bytes of %d came back: %v", port.Guest, len(got), len(sent), err)
			}
			if ip, _, _ := strings.Cut(peer, "|"); ip != from[port.Guest] {
				t.Errorf("guest port %d: reached from %s", port.Guest, peer)
			}
		}
	}
	h.eventually(time.Minute, "what the ports carried is counted", func() error {
		n, want := h.info("echo").NetUsed, uint64(len(from)*(len(data)+len("abc")))
		if n == nil || n.Sent < want || n.Received < want {
			return fmt.Errorf("%+v, want %d bytes both ways", n, want)
		}
		return nil
	})
	addr := strings.TrimPrefix(h.info("echo").Ports[0].URL, "tcp://")
	if h.info("echo").Backend == "qemu" { // others have no network device
		h.eventually(time.Minute, "it is reached over the network", func() error { // not while nobody listened
			answer, err := reversed(addr, []byte("abc"))
			_, number, _ := strings.Cut(string(answer), "127.0.0.1|")
			if n, _ := strconv.Atoi(number); n < 64000 {
				return fmt.Errorf("%q, %v", answer, err)
			}
			return nil
		})
	}
	overPause(h, addr)
}

// overPause keeps a connection open while the instance is paused.
func overPause(h *home, addr string) {
	conn, err := net.DialTimeout("tcp", addr, time.Minute)
	if err != nil {
		h.t.Error(err)
		return
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(2 * time.Minute))
	conn.Write([]byte("abc"))
	h.ok("instance", "pause", "echo")
	conn.Write([]byte("def"))
	conn.(*net.TCPConn).CloseWrite()
	h.ok("instance", "resume", "echo")
	if got, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(got), "fedcba|127.0.0.1|") {
		h.t.Errorf("over a pause: %q, %v", got, err)
	}
}

func TestFrontDoor(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write(filepath.Join(h.cwd, "w/index.html"), "front\n")
	h.write(filepath.Join(h.cwd, "w/other/index.html"), "other\n")
	h.ok("instance", "start", "--name", "web", "--workspace", "./w", "--expose", "80", "--expose", "81",
		"--", "sh", "-c", "python -m http.server -d other 81 & exec python -m http.server 80")
	var addr string
	for _, line := range strings.Split(h.ok("status"), "\n") {
		if _, port, ok := strings.Cut(line, "NAME.localhost:"); ok {
			addr = "127.0.0.1:" + strings.TrimSuffix(port, "/")
		}
	}
	for host, want := range map[string]string{
		"web.localhost": "200 front\n", "81-web.localhost": "200 other\n", "WEB.localhost.": "200 front\n",
		"nobody.localhost": "404", "82-web.localhost": "404", "web.example.com": "404", "127.0.0.1": "404",
	} {
		req, _ := http.NewRequest("GET", "http://"+addr+"/", nil)
		req.Host = host
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if got := fmt.Sprintf("%d %s", res.StatusCode, body); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
		if res.StatusCode == 404 && strings.Contains(string(body), "web") && !strings.Contains(host, "web") {
			t.Errorf("%s: the page names an instance: %q", host, body)
		}
	}
}

// TestSlowApp waits for an app that takes its time to listen.
func TestSlowApp(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write(filepath.Join(h.cwd, "w/index.html"), "at last\n")
	h.ok("instance", "start", "--name", "slow", "--workspace", "./w", "--expose", "80",
		"--", "sh", "-c", "sleep 3; exec python -m http.server 80")
	url := h.url("slow")
	h.page(url, "at last\n") // RUNNING, not yet listening
	h.ok("instance", "stop", "slow")
	h.ok("instance", "start", "--name", "slow", "--json")
	h.page(url, "at last\n")
}

// TestWakeThatFails is answered in words, and at once when the command keeps failing.
func TestWakeThatFails(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.config(`front-door = ""`, `wake-timeout = "4s"`)
	h.ok("instance", "start", "--name", "mute", "--expose", "80", "--", "sleep", "infinity")
	code, body, header := h.get(h.url("mute"))
	if code != http.StatusServiceUnavailable || header.Get("Retry-After") == "" || !strings.Contains(body, "mute") {
		t.Errorf("an app that never listens: %d %q %v", code, body, header)
	}
	h.ok("instance", "delete", "--force", "mute")

	h.ok("instance", "start", "--name", "bad", "--expose", "80", "--restart", "on-failure", "--", "sh", "-c", "exit 3")
	url := h.url("bad")
	h.eventually(90*time.Second, "it is held back", func() error {
		if h.info("bad").HeldUntil == nil {
			return fmt.Errorf("%+v", h.info("bad").Exit)
		}
		return nil
	})
	began := time.Now()
	code, _, header = h.get(url)
	if code != http.StatusServiceUnavailable || header.Get("Retry-After") == "" || time.Since(began) > 2*time.Second {
		t.Errorf("held back: %d after %s", code, time.Since(began))
	}
}
