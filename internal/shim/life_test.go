package shim

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-yamux/v5"

	"aegis/internal/fault"
	"aegis/internal/instance"
	"aegis/internal/wire"
)

// command answers a start, writes frames and ends with exit.
func command(exit wire.Exit, out, err string) operation {
	return func(_ *scripted, s *yamux.Stream, _ wire.Request) {
		tellHost(s, wire.Reply{})
		if out != "" {
			wire.WriteFrame(s, wire.FrameStdout, []byte(out))
		}
		if err != "" {
			wire.WriteFrame(s, wire.FrameStderr, []byte(err))
		}
		wire.WriteExit(s, exit)
	}
}

func on(op wire.Op, f operation) script { return script{on: map[wire.Op]operation{op: f}} }

// lines is what the log's files hold.
func (w *world) lines() string {
	w.t.Helper()
	files, _ := filepath.Glob(filepath.Join(w.launch.Assignment.LogDir, "*"))
	var all strings.Builder
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			w.t.Fatal(err)
		}
		all.Write(body)
	}
	return all.String()
}

func TestExits(t *testing.T) {
	for _, c := range []struct {
		name string
		exit wire.Exit
		want instance.Exit
	}{
		{"code", wire.Exit{Code: 3}, instance.Exit{Code: 3, Reason: instance.Exited}},
		{"signal", wire.Exit{Signal: 11}, instance.Exit{Signal: 11, Reason: instance.Exited}},
		{"memory", wire.Exit{Signal: 9, OOM: true}, instance.Exit{Signal: 9, Reason: instance.OutOfMem}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := begin(t, on(wire.OpStart, command(c.exit, "", "")), nil)
			w.mustStart(false)
			exit := w.exit()
			if exit.At.IsZero() {
				t.Error("no time")
			}
			if exit.At = (time.Time{}); exit != c.want {
				t.Errorf("%+v, want %+v", exit, c.want)
			}
		})
	}
}

// The exit comes before the start is acknowledged to anybody, and is not lost.
func TestOutputReachesLogAndClient(t *testing.T) {
	w := begin(t, on(wire.OpStart, command(wire.Exit{Code: 7}, "to out\nno end", "to err\n")), nil)
	frames := wire.NewFrameReader(w.mustStart(true))
	var got []string
	for {
		kind, payload, err := frames.Next()
		if err != nil {
			t.Fatalf("after %q: %v", got, err)
		}
		if kind == wire.FrameExit {
			if e, err := wire.ParseExit(payload); err != nil || e.Code != 7 {
				t.Errorf("exit %+v, %v", e, err)
			}
			break
		}
		got = append(got, string(payload))
	}
	if text := strings.Join(got, "|"); text != "to out\nno end|to err\n" {
		t.Errorf("the client got %q", text)
	}
	w.exit()
	for _, want := range []string{`"line":"to out"`, `"line":"no end"`, `"line":"to err"`, `"stream":"stderr"`} {
		if !strings.Contains(w.lines(), want) {
			t.Errorf("the log lacks %s:\n%s", want, w.lines())
		}
	}
}

// A client that goes does not end the instance's command; its input ends.
func TestClientGoes(t *testing.T) {
	eof := make(chan struct{})
	w := begin(t, on(wire.OpStart, func(g *scripted, s *yamux.Stream, _ wire.Request) {
		tellHost(s, wire.Reply{})
		frames := wire.NewFrameReader(s)
		for kind := wire.FrameStdin; kind != wire.FrameStdinEOF; {
			var err error
			if kind, _, err = frames.Next(); err != nil {
				return
			}
		}
		close(eof)
		wire.WriteFrame(s, wire.FrameStdout, []byte("alone\n"))
		wire.WriteFrame(s, wire.FrameStdout, []byte("still\n"))
		<-g.term
		wire.WriteExit(s, wire.Exit{Code: 4})
	}), nil)
	w.mustStart(true).Close()
	w.await(eof, "the end of its input")
	if err := w.client.Stop(t.Context(), time.Second, instance.StoppedBy); err != nil {
		t.Fatal(err)
	}
	if exit := w.exit(); exit.Code != 4 || exit.Reason != instance.StoppedBy {
		t.Errorf("%+v", exit)
	}
	if !strings.Contains(w.lines(), "still") {
		t.Errorf("the log lacks what came without a client:\n%s", w.lines())
	}
}

// TestStop ends the VM once the guest has nothing left to write: this guest never ends it.
func TestStop(t *testing.T) {
	var how wire.Shutdown
	w := begin(t, script{on: map[wire.Op]operation{wire.OpShutdown: func(g *scripted, s *yamux.Stream, req wire.Request) {
		how = *req.Shutdown
		close(g.term)
		tellHost(s, wire.Reply{})
	}}}, func(l *instance.Launch) { l.Assignment.Discard = true })
	w.mustStart(false)
	if err := w.client.Stop(t.Context(), 3*time.Second, instance.IdledOut); err != nil {
		t.Fatal(err)
	}
	exit := w.exit()
	if exit.Signal != 15 || exit.Reason != instance.IdledOut || exit.Error != "" || how != (wire.Shutdown{Grace: 3 * time.Second, Discard: true}) {
		t.Errorf("%+v after %+v", exit, how)
	}
}

// A guest that will not end is killed.
func TestStubbornGuest(t *testing.T) {
	refuse := func(_ *scripted, s *yamux.Stream, _ wire.Request) {
		tellHost(s, wire.Reply{Error: &wire.Error{Kind: fault.Internal, Why: "no"}})
	}
	w := begin(t, on(wire.OpShutdown, refuse), nil)
	w.mustStart(false)
	if err := w.client.Stop(t.Context(), 0, instance.StoppedBy); err != nil {
		t.Fatal(err)
	}
	if exit := w.exit(); exit.Reason != instance.StoppedBy {
		t.Errorf("%+v", exit)
	}
}

func TestVMDies(t *testing.T) {
	for name, c := range map[string]struct {
		die  func(*scripted)
		want instance.Exit
	}{
		"crash": {func(g *scripted) { g.off <- errors.New("killed by signal 9") },
			instance.Exit{Reason: instance.VMDied, Error: "killed by signal 9"}},
		"off": {func(g *scripted) { g.off <- nil },
			instance.Exit{Reason: instance.VMDied, Error: "the guest switched itself off"}},
		"panic": {func(g *scripted) {
			g.console.Write([]byte("[1.2] Kernel panic - not syncing: boom\r\nmore\n"))
			g.off <- nil
		}, instance.Exit{Reason: instance.GuestPanic, Error: "Kernel panic - not syncing: boom"}},
	} {
		t.Run(name, func(t *testing.T) {
			started := make(chan struct{})
			w := begin(t, on(wire.OpStart, func(g *scripted, s *yamux.Stream, _ wire.Request) {
				tellHost(s, wire.Reply{})
				<-started
				c.die(g)
			}), nil)
			w.mustStart(false)
			close(started)
			exit := w.exit()
			if exit.At = (time.Time{}); exit != c.want {
				t.Errorf("%+v, want %+v", exit, c.want)
			}
			if !strings.Contains(w.lines(), `"system"`) || !strings.Contains(w.lines(), c.want.Error) {
				t.Errorf("the log does not say why:\n%s", w.lines())
			}
		})
	}
}
