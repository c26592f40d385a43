package client_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"aegis/client"
	"aegis/internal/api"
	"aegis/internal/api/apitest"
	"aegis/internal/fault"
)

const token = "0123456789abcdef0123456789abcdef"

// TestDial does over TCP what New's clients do: answers, streams, connections.
func TestDial(t *testing.T) {
	f := &apitest.Fake{Root: t.TempDir(), News: []client.Event{{Seq: 1, Event: "created"}}}
	server := httptest.NewServer(api.Remote(api.Handler(f.Services()), token))
	defer server.Close()
	c := client.Dial(server.Listener.Addr().String(), token)
	defer c.Close()
	must[client.Instance](t)(c.Create(t.Context(), client.Create{Name: "web"}))
	must[client.Instance](t)(c.Start(t.Context(), "web"))
	var out bytes.Buffer
	exit, err := c.Exec(t.Context(), "web", client.Exec{Command: []string{"cat"}}, client.IO{Stdin: strings.NewReader("hello"), Stdout: &out})
	if err != nil || exit.Status() != 0 || out.String() != "hello" {
		t.Errorf("%+v %v %q", exit, err, &out)
	}
	news := must[io.ReadCloser](t)(c.Events(t.Context(), false))
	defer news.Close()
	if text, err := io.ReadAll(news); err != nil || !strings.Contains(string(text), "created") {
		t.Errorf("%q %v", text, err)
	}
	if err := c.CopyIn(t.Context(), "web", client.CopyIn{Path: "/", Top: "file"}, bytes.NewReader(archive(t, "hello"))); err != nil {
		t.Error(err)
	}
	_, err = c.Info(t.Context(), "nobody")
	wantFault(t, err, fault.NotFound, "nobody")
}

func TestDialIsRefused(t *testing.T) {
	server := httptest.NewServer(api.Remote(api.Handler((&apitest.Fake{}).Services()), token))
	defer server.Close()
	address := server.Listener.Addr().String()
	for _, wrong := range []string{"", "wrong", token + "0"} {
		c := client.Dial(address, wrong)
		defer c.Close()
		_, err := c.Version(t.Context())
		wantFault(t, err, fault.Unauthorized, "reach the daemon: the ")
		_, err = c.Exec(t.Context(), "web", client.Exec{Command: []string{"ls"}}, client.IO{})
		wantFault(t, err, fault.Unauthorized, "the ")
	}
	server.Close()
	_, err := client.Dial(address, token).Version(t.Context())
	wantFault(t, err, fault.Unreachable, "no daemon answers at "+address)
}

// TestTokenStaysWithTheDaemon has a server that sends its clients somewhere else.
func TestTokenStaysWithTheDaemon(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") }))
	defer other.Close()
	server := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	c := client.Dial(server.Listener.Addr().String(), token)
	defer c.Close()
	if _, err := c.Version(t.Context()); !fault.Is(err, fault.Internal) || strings.Contains(err.Error(), token) {
		t.Errorf("%v", err)
	}
}
