package firecracker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"aegis/internal/vmm"
)

// server is the API's part of a monitor. It refuses what the published description does
// not have: other paths, unknown fields, missing ones.
type server struct {
	t     *testing.T
	asked []string
	reply func(w http.ResponseWriter) // nil: 204
}

// described are the fields that the description of 1.16.1 has for a request; those that
// it requires begin with an asterisk.
var described = map[string][]string{
	"PUT /machine-config":  {"*vcpu_count", "*mem_size_mib", "smt", "cpu_template", "track_dirty_pages", "huge_pages"},
	"PUT /boot-source":     {"*kernel_image_path", "initrd_path", "boot_args"},
	"PUT /drives/":         {"*drive_id", "*is_root_device", "partuuid", "cache_type", "is_read_only", "path_on_host", "rate_limiter", "io_engine", "socket"},
	"PATCH /drives/":       {"*drive_id", "path_on_host", "rate_limiter"},
	"PUT /vsock":           {"*guest_cid", "*uds_path", "vsock_id"},
	"PUT /actions":         {"*action_type"},
	"PATCH /vm":            {"*state"},
	"PUT /snapshot/create": {"*mem_file_path", "*snapshot_path", "snapshot_type"},
	"PUT /snapshot/load": {"*snapshot_path", "mem_backend", "mem_file_path", "resume_vm", "track_dirty_pages", "enable_diff_snapshots",
		"network_overrides", "vsock_override", "clock_realtime"},
}

// words are the values that it allows where it lists them.
var words = map[string][]string{
	"action_type": {"FlushMetrics", "InstanceStart", "SendCtrlAltDel"}, "state": {"Paused", "Resumed"},
	"snapshot_type": {"Full", "Diff"}, "cache_type": {"Unsafe", "Writeback"}, "backend_type": {"File", "Uffd"},
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if i := strings.Index(path, "/drives/"); i == 0 {
		path = "/drives/"
	}
	what := r.Method + " " + path
	s.asked = append(s.asked, r.Method+" "+r.URL.Path)
	fields, ok := described[what]
	body := map[string]any{}
	err := json.NewDecoder(r.Body).Decode(&body)
	if !ok || err != nil {
		s.t.Errorf("the description has no %s (%v)", what, err)
	}
	for name, value := range body {
		if !slices.Contains(fields, name) && !slices.Contains(fields, "*"+name) {
			s.t.Errorf("%s has no field %q", what, name)
		}
		if text, ok := value.(string); ok && words[name] != nil && !slices.Contains(words[name], text) {
			s.t.Errorf("%s: %q can't be %q", what, name, text)
		}
	}
	for _, name := range fields {
		if bare, required := strings.CutPrefix(name, "*"); required && body[bare] == nil {
			s.t.Errorf("%s lacks %q", what, bare)
		}
	}
	if s.reply != nil {
		s.reply(w)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// serve gives a client of the server.
func serve(t *testing.T, s *server) *api {
	t.Helper()
	l, err := net.Listen("unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: s}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	conn, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	a := newAPI(conn)
	t.Cleanup(a.close)
	return a
}

func TestRequestsAreTheDescribedOnes(t *testing.T) {
	s := &server{t: t}
	a := serve(t, s)
	cfg := vmm.Config{CPUs: 2, Memory: 256 << 20, Disks: []vmm.Disk{{Serial: "base", ReadOnly: true}, {Serial: "disk"}}}
	for _, r := range machineRequests(cfg, "/k", "/i") {
		if err := a.put(t.Context(), r.path, r.body); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"PUT /machine-config", "PUT /boot-source", "PUT /drives/disk0", "PUT /drives/disk1", "PUT /vsock", "PUT /actions"}
	if !slices.Equal(s.asked, want) {
		t.Errorf("asked %q", s.asked)
	}
	for _, err := range []error{
		a.patch(t.Context(), "/vm", vmState{"Paused"}),
		a.put(t.Context(), "/snapshot/create", snapshotCreate{snapshotType(), "/s", "/m"}),
		a.put(t.Context(), "/snapshot/load", snapshotLoad{State: "/s", Memory: memoryBackend{"File", "/m"}, Resume: true}),
		a.patch(t.Context(), "/drives/disk1", drivePatch{"disk1", "/d"}),
	} {
		if err != nil {
			t.Error(err)
		}
	}
}

func TestRefusalIsInItsWords(t *testing.T) {
	s := &server{t: t, reply: func(w http.ResponseWriter) {
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, `{"fault_message":"no such drive"}`)
	}}
	a := serve(t, s)
	for range 2 { // the connection stays good
		err := a.patch(t.Context(), "/drives/disk1", drivePatch{"disk1", "/d"})
		var r *refusal
		if !errors.As(err, &r) || r.Status != 400 || err.Error() != "PATCH /drives/disk1: no such drive" {
			t.Fatalf("refused with %v", err)
		}
	}
	s.reply = func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) }
	if err := a.patch(t.Context(), "/vm", vmState{"Paused"}); err == nil || !strings.Contains(err.Error(), "500") {
		t.Errorf("refused without words: %v", err)
	}
}

// TestHostileAnswers has a monitor say what no monitor says: an error each time, soon,
// and of little length.
func TestHostileAnswers(t *testing.T) {
	for name, answer := range map[string]string{
		"no HTTP":          "hello\r\n\r\n",
		"endless header":   "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 2*maxAnswer),
		"long body":        fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", 2*maxAnswer, strings.Repeat("x", 2*maxAnswer)),
		"long refusal":     refusing(strings.Repeat("x", maxAnswer/2)),
		"nothing":          "",
		"a word too many":  "HTTP/1.1 abc OK\r\n\r\n",
		"negative length":  "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"cut in its body":  "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nxx",
		"switch protocols": "HTTP/1.1 101 Switching Protocols\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := net.Pipe()
			go func() {
				defer theirs.Close()
				theirs.Read(make([]byte, 64<<10))
				io.Copy(theirs, bytes.NewReader([]byte(answer)))
			}()
			a := newAPI(ours)
			defer a.close()
			err := a.patch(t.Context(), "/vm", vmState{"Paused"})
			if err == nil || len(err.Error()) > 4<<10 {
				t.Errorf("answered with %.200v", err)
			}
		})
	}
}

func refusing(text string) string {
	body := `{"fault_message":"` + text + `"}`
	return fmt.Sprintf("HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

func TestCallEndsWithItsContext(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	go io.Copy(io.Discard, theirs) // and never an answer
	a := newAPI(ours)
	defer a.close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := a.patch(ctx, "/vm", vmState{"Paused"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("given up with %v", err)
	}
	if err := a.patch(t.Context(), "/vm", vmState{"Paused"}); err == nil {
		t.Error("a connection in the middle of an answer is used again")
	}
}

// After an answer that could not be read nobody knows whose the next one is.
func TestBrokenConnectionIsNotUsedAgain(t *testing.T) {
	ours, theirs := net.Pipe()
	go func() {
		defer theirs.Close()
		theirs.Read(make([]byte, 64<<10))
		io.WriteString(theirs, "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n")
		io.Copy(io.Discard, theirs)
	}()
	a := newAPI(ours)
	defer a.close()
	for range 2 {
		if err := a.patch(t.Context(), "/vm", vmState{"Paused"}); err == nil {
			t.Error("an answer that can't be read is taken")
		}
	}
}
