package daemon

import (
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"

	"aegis/client"
	"aegis/internal/api"
	"aegis/internal/api/apitest"
	"aegis/internal/config"
	"aegis/internal/fault"
	"aegis/internal/paths"
)

// listening is a daemon that serves the fake over TCP, where it is told to.
func listening(t *testing.T, address string) *daemon {
	t.Helper()
	d := &daemon{home: paths.Home{Dir: t.TempDir()}, config: config.Config{APIListen: address}, log: slog.New(slog.DiscardHandler)}
	server := d.remote(api.Handler((&apitest.Fake{}).Services()))
	t.Cleanup(func() { shutDown(server, nil) })
	return d
}

func TestRemoteIsOffUnlessConfigured(t *testing.T) {
	d := listening(t, "")
	if _, err := os.Stat(d.home.Token()); d.tcp != "" || !os.IsNotExist(err) || len(d.warn) > 0 {
		t.Errorf("at %q, token %v, %q", d.tcp, err, d.warn)
	}
}

func TestRemoteServes(t *testing.T) {
	d := listening(t, "127.0.0.1:0")
	text, err := os.ReadFile(d.home.Token())
	if err != nil || len(d.warn) > 0 {
		t.Fatalf("%v, %q", err, d.warn)
	}
	c := client.Dial(d.tcp, strings.TrimSpace(string(text)))
	defer c.Close()
	if _, err := c.Status(t.Context()); err != nil {
		t.Error(err)
	}
	stranger := client.Dial(d.tcp, "x")
	defer stranger.Close()
	if _, err := stranger.Status(t.Context()); !fault.Is(err, fault.Unauthorized) {
		t.Errorf("%v", err)
	}
	if resp, err := http.Get("http://" + d.tcp + "/"); err != nil || resp.StatusCode != 401 {
		t.Errorf("%v %v", resp, err)
	}
}

// TestRemoteWarns of what keeps it closed, and of an address that is not loopback.
func TestRemoteWarns(t *testing.T) {
	first := listening(t, "127.0.0.1:0")
	second := listening(t, first.tcp)
	if second.tcp != "" || len(second.warn) != 1 || !strings.Contains(second.warn[0], "the API over TCP is closed: ") {
		t.Errorf("at %q, %q", second.tcp, second.warn)
	}
	open := listening(t, "0.0.0.0:0")
	if open.tcp == "" || len(open.warn) != 1 || !strings.Contains(open.warn[0], "without TLS") {
		t.Errorf("at %q, %q", open.tcp, open.warn)
	}
}
