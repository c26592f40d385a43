package client_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aegis/client"
	"aegis/internal/api/apitest"
	"aegis/internal/fault"
	"aegis/internal/wire"
)

// dial serves the fake at a real unix socket and makes a client of it.
func dial(t *testing.T, f *apitest.Fake) *client.Client {
	t.Helper()
	name := socket(t)
	stop, err := f.Serve(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	c := client.New(name)
	t.Cleanup(c.Close)
	return c
}

// socket is a free, short name: t.TempDir may be too long for one.
func socket(t *testing.T) string {
	dir, err := os.MkdirTemp("", "aegis")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

func wantFault(t *testing.T, err error, kind fault.Kind, text string) {
	t.Helper()
	var e *client.Error
	if !fault.Is(err, kind) || !errors.As(err, &e) || !strings.Contains(err.Error(), text) {
		t.Errorf("error %T %v, want %s …%s…", err, err, kind, text)
	}
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestVerbs(t *testing.T) {
	f := &apitest.Fake{}
	c, ctx := dial(t, f), t.Context()
	made := must[client.Instance](t)(c.Create(ctx, client.Create{Name: "web", Expose: []string{"80"}}))
	if made.Name != "web" || made.State != "STOPPED" || len(made.Ports) != 1 {
		t.Errorf("created %+v", made)
	}
	if i := must[client.Instance](t)(c.Start(ctx, "web")); i.State != "RUNNING" {
		t.Errorf("started %s", i.State)
	}
	for _, err := range []error{
		second(c.Restart(ctx, "web", -1)), second(c.Hold(ctx, "web", time.Minute, "a b")), second(c.Release(ctx, "web")), second(c.Prune(ctx, time.Hour)),
		c.Pause(ctx, "web"), c.Resume(ctx, "web"), c.Stop(ctx, "web", -1), c.Stop(ctx, "web", 3*time.Second),
		c.SetSecret(ctx, "K", []byte("v\x00\n")), c.Delete(ctx, "web", true), c.DeleteSecret(ctx, "K"), c.Down(ctx),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	want := []string{"Create web", "Start web", "Restart -1ns web", `Hold 1m0s "a b" web`, "Release web", "Prune 1h0m0s", "Pause web", "Resume web", "Stop -1ns web", "Stop 3s web",
		"SetSecret K", "Delete force=true web", "DeleteSecret K", "Down"}
	if calls := f.Calls(); !slices.Equal(calls, want) {
		t.Errorf("calls %q", calls)
	}
	if list := must[[]client.Instance](t)(c.List(ctx)); list == nil || len(list) != 0 {
		t.Errorf("list %v", list)
	}
	_, err := c.Info(ctx, "no/such?x")
	wantFault(t, err, fault.NotFound, "no/such?x")
}

func second[T any](_ T, err error) error { return err }

func TestEvents(t *testing.T) {
	news := []client.Event{{Seq: 1, Event: "created", TS: apitest.Epoch}, {Seq: 2, Event: "starting", TS: apitest.Epoch}}
	c := dial(t, &apitest.Fake{News: news, Ends: true})
	for _, follow := range []bool{false, true} {
		r := must[io.ReadCloser](t)(c.Events(t.Context(), follow))
		defer r.Close()
		all, err := io.ReadAll(r)
		if bytes.Count(all, []byte("\n")) != 2 {
			t.Errorf("%q", all)
		}
		if follow { // only the end of the daemon ends it
			wantFault(t, err, fault.Unreachable, "read the events: the daemon went away")
		} else if err != nil {
			t.Error(err)
		}
	}
}

func TestWait(t *testing.T) {
	want := client.Exit{Code: 7, Reason: "exited", At: apitest.Epoch}
	c := running(t, &apitest.Fake{Exit: &want})
	if got := must[client.Exit](t)(c.Wait(t.Context(), "web")); got != want {
		t.Errorf("%+v", got)
	}
	c = running(t, &apitest.Fake{})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Millisecond, cancel)
	_, err := c.Wait(ctx, "web")
	wantFault(t, err, fault.Cancelled, `wait for instance "web": it was cancelled`)
}

func TestSetup(t *testing.T) {
	f := &apitest.Fake{Unready: true, Steps: []client.Progress{{Step: "kernel"}, {Step: "image", Done: 1, Total: 2}}}
	c := dial(t, f)
	var steps []string
	if err := c.Setup(t.Context(), client.SetupFor{}, func(p client.Progress) { steps = append(steps, p.Step) }); err != nil || !slices.Equal(steps, []string{"kernel", "image"}) {
		t.Errorf("%q, %v", steps, err)
	}
	f.SetupErr = fault.New(fault.NoSpace, "", "make the image", "the disk is full")
	wantFault(t, c.Setup(t.Context(), client.SetupFor{}, func(client.Progress) {}), fault.NoSpace, "make the image: the disk is full")
	f.Steps = nil
	wantFault(t, c.Setup(t.Context(), client.SetupFor{}, func(client.Progress) {}), fault.NoSpace, "make the image: the disk is full")
}

func TestLogs(t *testing.T) {
	text := `{"stream":"stdout","line":"one"}` + "\n" + `{"stream":"stderr","line":"two","base64":true}` + "\n"
	f := &apitest.Fake{Log: func(client.LogQuery) io.ReadCloser { return io.NopCloser(strings.NewReader(text)) }}
	c := dial(t, f)
	must[client.Instance](t)(c.Create(t.Context(), client.Create{Name: "web"}))
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r := must[io.ReadCloser](t)(c.Logs(t.Context(), "web", client.LogQuery{Tail: 5, Since: since, Streams: []string{"stdout", "stderr"}, Exec: "e"}))
	defer r.Close()
	var lines []string
	for line, err := range client.LogLines(r) {
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line.Stream+" "+line.Line)
	}
	if !slices.Equal(lines, []string{"stdout one", "stderr two"}) {
		t.Errorf("lines %q", lines)
	}
	if call := f.Calls()[1]; call != "Logs web follow=false tail=5 since=2026-01-02T03:04:05Z streams=stdout,stderr exec=e" {
		t.Errorf("call %q", call)
	}
}

func TestLogCutShortIsAnError(t *testing.T) {
	f := &apitest.Fake{Log: func(client.LogQuery) io.ReadCloser {
		return io.NopCloser(io.MultiReader(strings.NewReader("{\"line\":\"one\"}\n"), failing{}))
	}}
	c := dial(t, f)
	must[client.Instance](t)(c.Create(t.Context(), client.Create{Name: "web"}))
	r := must[io.ReadCloser](t)(c.Logs(t.Context(), "web", client.LogQuery{Tail: -1}))
	defer r.Close()
	_, err := io.ReadAll(r)
	wantFault(t, err, fault.Unreachable, "went away in the middle")
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("disk broke") }

func running(t *testing.T, f *apitest.Fake) *client.Client {
	c := dial(t, f)
	must[client.Instance](t)(c.Create(t.Context(), client.Create{Name: "web"}))
	must[client.Instance](t)(c.Start(t.Context(), "web"))
	return c
}

// TestNoStdin holds that a process is told from the start when it has no input: without
// one, but on a terminal.
func TestNoStdin(t *testing.T) {
	f := &apitest.Fake{}
	c := running(t, f)
	for want, stdin := range map[bool]io.Reader{true: nil, false: strings.NewReader("")} {
		for _, tty := range []bool{false, true} {
			if _, err := c.Exec(t.Context(), "web", client.Exec{Command: []string{"echo"}, TTY: tty}, client.IO{Stdin: stdin}); err != nil {
				t.Fatal(err)
			}
			calls := f.Calls()
			if last := calls[len(calls)-1]; strings.HasSuffix(last, " no-stdin") != (want && !tty) {
				t.Errorf("stdin %v, terminal %t: %q", stdin, tty, last)
			}
		}
	}
}

func TestExecStreams(t *testing.T) {
	c := running(t, &apitest.Fake{})
	in := bytes.Repeat([]byte("0123456789abcdef"), 5*wire.InitialCredit/16) // five times the credit
	var out, errs bytes.Buffer
	exit, err := c.Exec(t.Context(), "web", client.Exec{Command: []string{"cat"}}, client.IO{Stdin: bytes.NewReader(in), Stdout: &out, Stderr: &errs})
	if err != nil || exit.Status() != 0 || !bytes.Equal(out.Bytes(), in) || errs.Len() != 0 {
		t.Errorf("%+v, %v: %d bytes out of %d, stderr %q", exit, err, out.Len(), len(in), &errs)
	}
	exit, err = c.Exec(t.Context(), "web", client.Exec{Command: []string{"err", "oh"}}, client.IO{Stdout: &out, Stderr: &errs})
	if err != nil || errs.String() != "oh\n" {
		t.Errorf("%+v, %v, stderr %q", exit, err, &errs)
	}
	for command, want := range map[string]int{"exit 7": 7, "kill 9": 137} {
		exit, err := c.Exec(t.Context(), "web", client.Exec{Command: strings.Fields(command)}, client.IO{})
		if err != nil || exit.Status() != want {
			t.Errorf("%s: %+v, %v", command, exit, err)
		}
	}
}

// TestStdinStaysWithinTheCredit has a process that consumes nothing at first.
func TestStdinStaysWithinTheCredit(t *testing.T) {
	got := make(chan int, 1)
	c := running(t, &apitest.Fake{Process: func(conn net.Conn, _ []string) {
		frames, total := wire.NewFrameReader(conn), 0
		for total < wire.InitialCredit {
			_, payload, err := frames.Next()
			if err != nil {
				break
			}
			total += len(payload)
		}
		wire.WriteCredit(conn, 10)
		_, payload, _ := frames.Next() // the ten more, alone
		got <- total + len(payload)
		wire.WriteExit(conn, wire.Exit{})
	}})
	stdin := io.LimitReader(zeros{}, 4*wire.InitialCredit)
	if _, err := c.Run(t.Context(), "web", client.IO{Stdin: stdin}); err != nil {
		t.Fatal(err)
	}
	if n := <-got; n != wire.InitialCredit+10 {
		t.Errorf("%d bytes came, %d allowed", n, wire.InitialCredit+10)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestExitDoesNotWaitForStdin(t *testing.T) {
	c := running(t, &apitest.Fake{})
	stdin, w := io.Pipe()
	defer w.Close()
	exit, err := c.Exec(t.Context(), "web", client.Exec{Command: []string{"exit", "3"}}, client.IO{Stdin: stdin})
	if err != nil || exit.Code != 3 {
		t.Errorf("%+v, %v", exit, err)
	}
}

func TestSignalsAndResizes(t *testing.T) {
	c := running(t, &apitest.Fake{})
	signals, sizes := make(chan int), make(chan client.Size)
	stdin, w := io.Pipe()
	defer w.Close()
	var out bytes.Buffer
	go func() {
		sizes <- client.Size{Rows: 24, Cols: 80}
		close(sizes)
		signals <- 2
	}()
	exit, err := c.Exec(t.Context(), "web", client.Exec{Command: []string{"cat"}}, client.IO{Stdin: stdin, Stdout: &out, Signals: signals, Resizes: sizes})
	if err != nil || exit.Signal != 2 || out.String() != "size 24x80\n" {
		t.Errorf("%+v, %v, %q", exit, err, &out)
	}
}

func TestConnectionWithoutExit(t *testing.T) {
	c := running(t, &apitest.Fake{})
	_, err := c.Exec(t.Context(), "web", client.Exec{Command: []string{"vanish"}}, client.IO{})
	wantFault(t, err, fault.Unreachable, `run a command in "web": the daemon or the VM went away before the process had ended`)
}

func TestHostileFrames(t *testing.T) {
	for name, bytes := range map[string][]byte{
		"unknown type": {99, 0, 0, 0, 0},
		"huge length":  {byte(wire.FrameStdout), 0xff, 0xff, 0xff, 0xff},
		"huge credit":  {byte(wire.FrameCredit), 0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff},
		"bad exit":     {byte(wire.FrameExit), 0, 0, 0, 2, '[', ']'},
	} {
		c := running(t, &apitest.Fake{Process: func(conn net.Conn, _ []string) {
			conn.Write(bytes)
			io.Copy(io.Discard, conn)
		}})
		if _, err := c.Run(t.Context(), "web", client.IO{}); !fault.Is(err, fault.Unreachable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCancelEndsTheConnection(t *testing.T) {
	gone := make(chan struct{})
	c := running(t, &apitest.Fake{Process: func(conn net.Conn, _ []string) {
		wire.WriteFrame(conn, wire.FrameStdout, []byte("up"))
		io.Copy(io.Discard, conn)
		close(gone)
	}})
	ctx, cancel := context.WithCancel(t.Context())
	_, err := c.Run(ctx, "web", client.IO{Stdout: writerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil })})
	wantFault(t, err, fault.Cancelled, "it was cancelled")
	<-gone
}

func TestOutputThatCannotBeWritten(t *testing.T) {
	c := running(t, &apitest.Fake{})
	broken := errors.New("pipe is broken")
	_, err := c.Exec(t.Context(), "web", client.Exec{Command: []string{"echo", "x"}}, client.IO{Stdout: writerFunc(func([]byte) (int, error) { return 0, broken })})
	if !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestRefusedConnection(t *testing.T) {
	c := dial(t, &apitest.Fake{})
	_, err := c.Run(t.Context(), "nobody", client.IO{})
	wantFault(t, err, fault.NotFound, "no instance has this name or ID")
}
