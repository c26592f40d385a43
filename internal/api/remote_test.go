package api_test

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"aegis/client"
	"aegis/internal/api"
	"aegis/internal/api/apitest"
)

const token = "0123456789abcdef0123456789abcdef"

// remote serves the fake as the daemon does over TCP.
func remote(t *testing.T, f *apitest.Fake) (address string) {
	t.Helper()
	server := httptest.NewServer(api.Remote(api.Handler(f.Services()), token))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// TestRemote lists who is let in over TCP and who is not.
func TestRemote(t *testing.T) {
	f := &apitest.Fake{}
	address := remote(t, f)
	_, port, _ := net.SplitHostPort(address)
	own, bearer := "http://"+address, []string{"Bearer " + token}
	for name, c := range map[string]struct {
		path, host     string
		origin, bearer []string
		status         int
		why            string
	}{
		"right":                   {bearer: bearer, status: 200},
		"scheme in lower case":    {bearer: []string{"bearer " + token}, status: 200},
		"localhost":               {host: "LOCALHOST:" + port, bearer: bearer, status: 200},
		"through a tunnel":        {host: "localhost:1", bearer: bearer, status: 200},
		"no port":                 {host: "127.0.0.1", bearer: bearer, status: 200},
		"own page":                {origin: []string{own}, bearer: bearer, status: 200},
		"no token":                {status: 401, why: "Authorization"},
		"no token, metrics":       {path: "/metrics", status: 401, why: "Authorization"},
		"no token, document":      {path: "/v1/openapi.json", status: 401, why: "Authorization"},
		"no token, nothing there": {path: "/nothing", status: 401, why: "Authorization"},
		"empty token":             {bearer: []string{"Bearer "}, status: 401, why: "not the daemon's"},
		"wrong token":             {bearer: []string{"Bearer " + token[1:] + "0"}, status: 401, why: "not the daemon's"},
		"beginning of the token":  {bearer: []string{"Bearer " + token[:31]}, status: 401, why: "not the daemon's"},
		"more than the token":     {bearer: []string{"Bearer " + token + "0"}, status: 401, why: "not the daemon's"},
		"other scheme":            {bearer: []string{"Basic " + token}, status: 401, why: "not the daemon's"},
		"two tokens":              {bearer: append([]string{"Bearer x"}, bearer...), status: 401, why: "Authorization"},
		"foreign host":            {host: "evil.example:" + port, bearer: bearer, status: 403, why: `"evil.example`},
		"localhost's namesake":    {host: "localhost.evil.example", bearer: bearer, status: 403, why: "not an address"},
		"name below localhost":    {host: "a.localhost:" + port, bearer: bearer, status: 403, why: "not an address"},
		"other address":           {host: "127.0.0.2:" + port, bearer: bearer, status: 403, why: "not an address"},
		"wildcard":                {host: "0.0.0.0:" + port, bearer: bearer, status: 403, why: "not an address"},
		"foreign page":            {origin: []string{"http://evil.example"}, bearer: bearer, status: 403, why: "page of"},
		"page of another port":    {origin: []string{"http://127.0.0.1:1"}, bearer: bearer, status: 403, why: "page of"},
		"page with TLS":           {origin: []string{"https://" + address}, bearer: bearer, status: 403, why: "page of"},
		"page of nowhere":         {origin: []string{"null"}, bearer: bearer, status: 403, why: "page of"},
		"two pages":               {origin: []string{own, "http://evil.example"}, bearer: bearer, status: 403, why: "page of"},
	} {
		t.Run(name, func(t *testing.T) {
			req, _ := http.NewRequest("GET", own+"/v1/status", nil)
			if c.path != "" {
				req.URL.Path = c.path
			}
			req.Host = c.host
			req.Header = http.Header{"Origin": c.origin, "Authorization": c.bearer}
			before := len(f.Calls())
			resp, err := http.DefaultClient.Do(req)
			if err != nil || resp.StatusCode != c.status {
				t.Fatalf("%+v %v, want %d", resp, err, c.status)
			}
			defer resp.Body.Close()
			if c.status != 200 {
				refusedRequest(t, resp, c.why)
			}
			if called := len(f.Calls()) > before; called != (c.status == 200) {
				t.Errorf("calls %q", f.Calls())
			}
		})
	}
}

// refusedRequest is a problem that tells why, and nothing else, and ends the connection.
func refusedRequest(t *testing.T, resp *http.Response, why string) {
	t.Helper()
	text, _ := io.ReadAll(resp.Body)
	var p client.Problem
	if json.Unmarshal(text, &p) != nil || p.Status != resp.StatusCode || !strings.Contains(p.Detail, why) {
		t.Errorf("%s, want …%s…", text, why)
	}
	if resp.Header.Get(client.VersionHeader) != "" || strings.Contains(string(text), token) || !resp.Close {
		t.Errorf("it tells too much, or goes on: %v %s", resp.Header, text)
	}
}

// TestRemoteOnly holds that what did not come over TCP is no own host either.
func TestRemoteOnly(t *testing.T) {
	w := serve(api.Remote(http.NotFoundHandler(), token), "GET", "/", "", "Authorization", "Bearer "+token)
	if w.Code != 403 {
		t.Errorf("%d", w.Code)
	}
}
