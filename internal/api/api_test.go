package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"aegis/client"
	"aegis/internal/api"
	"aegis/internal/api/apitest"
	"aegis/internal/fault"
	"aegis/internal/version"
)

// ask sends one request to a handler over the fake.
func ask(t *testing.T, f *apitest.Fake, method, path, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	return serve(api.Handler(f.Services()), method, path, body, header...)
}

func serve(h http.Handler, method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func wantProblem(t *testing.T, w *httptest.ResponseRecorder, status int, code, detail string) client.Problem {
	t.Helper()
	var p client.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatalf("answer %q: %v", w.Body, err)
	}
	if w.Code != status || p.Status != status || p.Code != code || !strings.Contains(p.Detail, detail) {
		t.Errorf("status %d, problem %+v; want %d, %s, …%s…", w.Code, p, status, code, detail)
	}
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("content type %q", got)
	}
	if w.Header().Get(client.VersionHeader) != version.Version {
		t.Errorf("the answer carries no version")
	}
	return p
}

func TestRefusesWhatTheDocumentDoesNotAllow(t *testing.T) {
	for _, c := range []struct{ name, method, path, body, code, detail string }{
		{"unknown field", "POST", "/v1/instances", `{"nam":"x"}`, "invalid", "body.nam: unexpected property"},
		{"other casing", "POST", "/v1/instances", `{"Name":"x"}`, "invalid", "body.Name: unexpected property"},
		{"wrong type", "POST", "/v1/instances", `{"cpus":"two"}`, "invalid", "body.cpus"},
		{"wrong workspace", "POST", "/v1/instances", `{"workspace":{"path":1,"read_only":true}}`, "invalid", "body.workspace"},
		{"wrong net", "POST", "/v1/instances", `{"net":"everything"}`, "invalid", "body.net"},
		{"null for a command", "POST", "/v1/instances/x/exec", `{"command":null}`, "invalid", "body.command"},
		{"unknown query", "GET", "/v1/instances?all=1", ``, "invalid", "query.all"},
		{"no command", "POST", "/v1/instances/x/exec", `{"command":[]}`, "invalid", "body.command"},
		{"bad grace", "POST", "/v1/instances/x/stop?grace=soon", ``, "invalid", "soon"},
		{"bad restart", "POST", "/v1/instances/x/restart?grace=-1s", ``, "invalid", "-1s"},
		{"no lease", "POST", "/v1/instances/x/lease", `{"reason":"x"}`, "invalid", "for"},
		{"bad lease", "POST", "/v1/instances/x/lease", `{"for":"long"}`, "invalid", "long"},
		{"long reason", "POST", "/v1/instances/x/lease", `{"for":"1m","reason":"` + strings.Repeat("r", 201) + `"}`, "invalid", "body.reason"},
		{"no age", "POST", "/v1/instances/prune", ``, "invalid", "stopped_older_than"},
		{"bad age", "POST", "/v1/instances/prune?stopped_older_than=7d", ``, "invalid", "7d"},
		{"negative age", "POST", "/v1/instances/prune?stopped_older_than=-1s", ``, "invalid", "-1s"},
		{"bad all", "POST", "/v1/system/prune?all=perhaps", ``, "invalid", "all"},
		{"copy to nowhere", "POST", "/v1/instances/x/copy-in", ``, "invalid", "path"},
		{"copy of nothing", "POST", "/v1/instances/x/copy-out?path=", ``, "invalid", "path"},
		{"NUL in a path", "POST", "/v1/instances/x/copy-in?path=a%00b", ``, "invalid", "NUL"},
		{"bad flag", "POST", "/v1/instances/x/copy-in?path=/&directory=perhaps", ``, "invalid", "directory"},
		{"bad follow", "GET", "/v1/events?follow=perhaps", ``, "invalid", "follow"},
		{"bad since", "GET", "/v1/instances/x/logs?since=noon", ``, "invalid", "noon"},
		{"bad stream", "GET", "/v1/instances/x/logs?stream=stdin", ``, "invalid", "stdin"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &apitest.Fake{}
			wantProblem(t, ask(t, f, c.method, c.path, c.body), 422, c.code, c.detail)
			if calls := f.Calls(); len(calls) != 0 {
				t.Errorf("the service was called: %q", calls)
			}
		})
	}
	wantProblem(t, ask(t, &apitest.Fake{}, "POST", "/v1/instances", `{"name":`), 400, "usage", "")
	wantProblem(t, ask(t, &apitest.Fake{}, "POST", "/v1/instances", ``), 400, "usage", "body")
	wantProblem(t, ask(t, &apitest.Fake{}, "POST", "/v1/instances/x/run", ``), 400, "usage", "Upgrade: aegis-process")
	wantProblem(t, ask(t, &apitest.Fake{}, "GET", "/v1/nothing", ``), 404, "not_found", "no such operation")
	w := ask(t, &apitest.Fake{}, "TRACE", "/v1/instances/x/lease", ``)
	wantProblem(t, w, 405, "usage", "it takes DELETE, POST")
	if allow := w.Header().Get("Allow"); allow != "DELETE, POST" {
		t.Errorf("Allow: %q", allow)
	}
	f := &apitest.Fake{}
	if w := ask(t, f, "POST", "/v1/instances", `{"name":"x","workspace":null,"expose":null,"net":null,"cpus":null,"env":null}`); w.Code != 201 {
		t.Errorf("null for what may be left out: %d %s", w.Code, w.Body)
	}
}

func TestRefusalsDoNotEchoValues(t *testing.T) {
	w := ask(t, &apitest.Fake{}, "POST", "/v1/instances", `{"env":{"K":["s3cr3t"]}}`)
	if p := wantProblem(t, w, 422, "invalid", "body.env"); strings.Contains(w.Body.String(), "s3cr3t") {
		t.Errorf("the problem holds the value: %+v", p)
	}
}

func TestFaultsBecomeProblems(t *testing.T) {
	for _, kind := range fault.Kinds() {
		f := &apitest.Fake{Fails: func(string) error {
			return &fault.Error{Kind: kind, Subject: "web", What: `start instance "web"`, Why: "the reason", Cause: errors.New("private")}
		}}
		w := ask(t, f, "POST", "/v1/instances/web/start", "")
		p := wantProblem(t, w, kind.Status(), string(kind), "the reason")
		if p.Subject != "web" || p.Title != `start instance "web"` || strings.Contains(w.Body.String(), "private") {
			t.Errorf("%s: %s", kind, w.Body)
		}
	}
	f := &apitest.Fake{Fails: func(string) error { return context.DeadlineExceeded }}
	wantProblem(t, ask(t, f, "GET", "/v1/status", ""), 504, "timeout", "too long")
}

func TestVersionGuard(t *testing.T) {
	other := []string{client.VersionHeader, "9.9"}
	wantProblem(t, ask(t, &apitest.Fake{}, "GET", "/v1/instances", "", other...), 409, "version_mismatch", `client is version "9.9"`)
	for _, free := range [][2]string{{"GET", "/v1/version"}, {"GET", "/v1/status"}, {"POST", "/v1/down"}} {
		if w := ask(t, &apitest.Fake{}, free[0], free[1], "", other...); w.Code >= 300 {
			t.Errorf("%v: %d %s", free, w.Code, w.Body)
		}
	}
	if w := ask(t, &apitest.Fake{}, "GET", "/v1/instances", "", client.VersionHeader, version.Version); w.Code != 200 || strings.TrimSpace(w.Body.String()) != "[]" {
		t.Errorf("same version: %d %s", w.Code, w.Body)
	}
}

func TestPanicBecomesProblem(t *testing.T) {
	var log bytes.Buffer
	s := (&apitest.Fake{Fails: func(string) error { panic("boom") }}).Services()
	s.Log = slog.New(slog.NewTextHandler(&log, nil))
	w := serve(api.Handler(s), "GET", "/v1/status", "")
	wantProblem(t, w, 500, "internal", "bug")
	if strings.Contains(w.Body.String(), "boom") || strings.Contains(w.Body.String(), "goroutine") {
		t.Errorf("the answer tells internals: %s", w.Body)
	}
	if !strings.Contains(log.String(), "boom") || !strings.Contains(log.String(), "api_test.go") {
		t.Errorf("the log lacks the panic or its stack: %s", &log)
	}
}

func TestInternalFailuresAreLoggedWithTheirCause(t *testing.T) {
	var log bytes.Buffer
	s := (&apitest.Fake{Fails: func(string) error {
		return &fault.Error{Kind: fault.Internal, Why: "it broke", Cause: errors.New("private cause")}
	}}).Services()
	s.Log = slog.New(slog.NewTextHandler(&log, nil))
	w := serve(api.Handler(s), "GET", "/v1/status", "")
	if p := wantProblem(t, w, 500, "internal", "it broke"); p.Title != "get status" {
		t.Errorf("title %q", p.Title)
	}
	if !strings.Contains(log.String(), "private cause") || strings.Contains(w.Body.String(), "private cause") {
		t.Errorf("log %q, answer %s", &log, w.Body)
	}
}

func TestSecretBounds(t *testing.T) {
	f := &apitest.Fake{}
	if w := ask(t, f, "PUT", "/v1/secrets/K", strings.Repeat("v", client.MaxSecret)); w.Code != 204 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if len(f.Value("K")) != client.MaxSecret {
		t.Errorf("%d bytes stored", len(f.Value("K")))
	}
	wantProblem(t, ask(t, f, "PUT", "/v1/secrets/K", strings.Repeat("v", client.MaxSecret+1)), 413, "invalid", "")
}

func TestOpenAPIDocument(t *testing.T) {
	w := ask(t, &apitest.Fake{}, "GET", "/v1/openapi.json", "")
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			OperationID string                     `json:"operationId"`
			Responses   map[string]json.RawMessage `json:"responses"`
		}
		Components struct {
			Schemas map[string]struct {
				Properties map[string]struct {
					Type  any
					AnyOf []struct{ Type any }
				}
			}
		}
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Errorf("OpenAPI %q", doc.OpenAPI)
	}
	want := map[string]string{
		"/v1/instances": "get post", "/v1/instances/{ref}": "delete get", "/v1/instances/{ref}/start": "post",
		"/v1/instances/{ref}/stop": "post", "/v1/instances/{ref}/pause": "post", "/v1/instances/{ref}/resume": "post",
		"/v1/instances/{ref}/restart": "post", "/v1/instances/{ref}/wait": "get", "/v1/instances/{ref}/lease": "delete post", "/v1/instances/prune": "post",
		"/v1/instances/{ref}/run": "post", "/v1/instances/{ref}/exec": "post", "/v1/instances/{ref}/logs": "get",
		"/v1/instances/{ref}/copy-in": "post", "/v1/instances/{ref}/copy-out": "post",
		"/v1/secrets": "get", "/v1/secrets/{name}": "delete put", "/v1/events": "get", "/v1/version": "get", "/v1/config": "get", "/v1/status": "get",
		"/v1/setup": "post", "/v1/down": "post", "/v1/system/df": "get", "/v1/system/prune": "post",
		"/v1/images": "get post", "/v1/images/{image}": "delete get", "/v1/pull": "post",
	}
	for path, methods := range want {
		for method := range strings.FieldsSeq(methods) {
			op, ok := doc.Paths[path][method]
			if !ok || op.OperationID == "" || op.Responses["default"] == nil {
				t.Errorf("%s %s is not described whole: %+v", method, path, op)
			}
		}
		if len(doc.Paths[path]) != len(strings.Fields(methods)) {
			t.Errorf("%s has %d methods, want %s", path, len(doc.Paths[path]), methods)
		}
	}
	if len(doc.Paths) != len(want) {
		t.Errorf("%d paths, want %d", len(doc.Paths), len(want))
	}
	for schema, field := range map[string]string{"Instance": "exit", "Create": "net"} {
		if types := doc.Components.Schemas[schema].Properties[field].AnyOf; len(types) != 2 || types[1].Type != "null" {
			t.Errorf("%s.%s may be null: %+v", schema, field, types)
		}
	}
	if kind := doc.Components.Schemas["Exec"].Properties["command"].Type; kind != "array" {
		t.Errorf("a command is %q", kind)
	}
	if !bytes.Contains(w.Body.Bytes(), []byte("application/problem+json")) {
		t.Error("problems are not described")
	}
}

func TestFollowedEventsAreFlushedAndEndWithTheClient(t *testing.T) {
	f := &apitest.Fake{News: []client.Event{{Seq: 1, Event: "created", Name: "web", TS: apitest.Epoch}}}
	server := httptest.NewServer(api.Handler(f.Services()))
	defer server.Close() // waits for the handler
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	req, _ := http.NewRequestWithContext(ctx, "GET", server.URL+"/v1/events?follow=true", nil)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"seq":1,"ts":"2026-01-02T03:04:05.000000006Z","event":"created","name":"web"}` + "\n"
	buf := make([]byte, 200)
	if n, err := resp.Body.Read(buf); err != nil || string(buf[:n]) != want {
		t.Fatalf("%q, %v", buf[:n], err)
	}
	if ct := resp.Header.Get("Content-Type"); ct != "application/x-ndjson" {
		t.Errorf("content type %q", ct)
	}
}

func TestConfig(t *testing.T) {
	w := ask(t, &apitest.Fake{}, "GET", "/v1/config", "")
	if w.Code != 200 || !strings.Contains(w.Body.String(), `{"key":"cpus","env":"AEGIS_CPUS","value":"2","origin":"AEGIS_CPUS"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestRoutesReachTheirService(t *testing.T) {
	for _, c := range []struct{ method, path, call string }{
		{"GET", "/v1/instances/w%C3%A9b", "Info wéb"},
		{"POST", "/v1/instances/web/start", "Start web"},
		{"POST", "/v1/instances/web/stop", "Stop -1ns web"},
		{"POST", "/v1/instances/web/stop?grace=0s", "Stop 0s web"},
		{"POST", "/v1/instances/web/restart?grace=3s", "Restart 3s web"},
		{"GET", "/v1/instances/web/wait", "Wait web"},
		{"DELETE", "/v1/instances/web/lease", "Release web"},
		{"POST", "/v1/instances/prune?stopped_older_than=36h", "Prune 36h0m0s"},
		{"POST", "/v1/instances/web/pause", "Pause web"},
		{"POST", "/v1/instances/web/resume", "Resume web"},
		{"DELETE", "/v1/instances/web", "Delete force=false web"},
		{"DELETE", "/v1/instances/web?force=true", "Delete force=true web"},
		{"GET", "/v1/instances/web/logs", "Logs web follow=false tail=-1 since= streams= exec="},
		{"GET", "/v1/instances/web/logs?follow=true&tail=3&since=2026-01-02T03:04:05Z&stream=stdout,system&exec=exec-a", "Logs web follow=true tail=3 since=2026-01-02T03:04:05Z streams=stdout,system exec=exec-a"},
		{"DELETE", "/v1/secrets/K", "DeleteSecret K"},
	} {
		f := &apitest.Fake{}
		ask(t, f, c.method, c.path, "")
		if calls := f.Calls(); len(calls) != 1 || calls[0] != c.call {
			t.Errorf("%s %s called %q, want %q", c.method, c.path, calls, c.call)
		}
	}
}

// follow is a log whose reader waits until it is closed.
type follow struct {
	*io.PipeReader
	closed chan struct{}
}

func (f follow) Close() error {
	select {
	case <-f.closed:
	default:
		close(f.closed)
	}
	return f.PipeReader.Close()
}

func TestFollowedLogIsFlushedAndClosedWithTheClient(t *testing.T) {
	r, w := io.Pipe()
	closed := make(chan struct{})
	f := &apitest.Fake{Log: func(client.LogQuery) io.ReadCloser { return follow{r, closed} }}
	server := httptest.NewServer(api.Handler(f.Services()))
	defer server.Close()
	http.Post(server.URL+"/v1/instances", "application/json", strings.NewReader(`{"name":"web"}`))
	ctx, cancel := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, "GET", server.URL+"/v1/instances/web/logs?follow=true", nil)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	go io.WriteString(w, "{\"line\":\"one\"}\n")
	buf := make([]byte, 100)
	if n, err := resp.Body.Read(buf); err != nil || string(buf[:n]) != "{\"line\":\"one\"}\n" {
		t.Fatalf("%q, %v", buf[:n], err)
	}
	if ct := resp.Header.Get("Content-Type"); ct != "application/x-ndjson" {
		t.Errorf("content type %q", ct)
	}
	cancel()
	<-closed
}

func TestRelayPassesHalfCloseAndClose(t *testing.T) {
	heard := make(chan string, 1)
	f := &apitest.Fake{Process: func(conn net.Conn, _ []string) {
		all, _ := io.ReadAll(conn) // ends with the client's half-close
		heard <- string(all)
		io.WriteString(conn, "answer")
	}}
	conn := upgraded(t, f)
	io.WriteString(conn, "question")
	conn.(*net.TCPConn).CloseWrite()
	if got := <-heard; got != "question" {
		t.Errorf("the process heard %q", got)
	}
	if all, err := io.ReadAll(conn); err != nil || string(all) != "answer" {
		t.Errorf("the client heard %q, %v", all, err)
	}
}

func TestRelayEndsWithTheClient(t *testing.T) {
	for _, reset := range []bool{false, true} {
		gone := make(chan struct{})
		f := &apitest.Fake{Process: func(conn net.Conn, _ []string) {
			io.Copy(io.Discard, conn)
			close(gone)
		}}
		conn := upgraded(t, f)
		if reset {
			conn.(*net.TCPConn).SetLinger(0) // close is then an RST (tcp(7)): an error for who reads
		}
		conn.Close()
		<-gone
	}
}

// upgraded opens a run's connection; the request and the first bytes come in one
// write, which must not lose them.
func upgraded(t *testing.T, f *apitest.Fake) net.Conn {
	server := httptest.NewServer(api.Handler(f.Services()))
	t.Cleanup(server.Close)
	http.Post(server.URL+"/v1/instances", "application/json", strings.NewReader(`{"name":"web"}`))
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	io.WriteString(conn, "POST /v1/instances/web/run HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: aegis-process\r\n\r\n")
	head := make([]byte, 0, 200)
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		var b [1]byte
		if _, err := conn.Read(b[:]); err != nil {
			t.Fatalf("%q: %v", head, err)
		}
		head = append(head, b[0])
	}
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")) || !bytes.Contains(head, []byte("Aegis-Version: "+version.Version)) {
		t.Fatalf("answer %q", head)
	}
	return conn
}
