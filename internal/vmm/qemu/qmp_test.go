package qemu

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"aegis/internal/vmm/monitor"
)

// played is a control connection whose other end plays QEMU.
func played(t *testing.T, onEvent func(string, json.RawMessage)) (*qmp, *net.UnixConn) {
	t.Helper()
	near, far, err := monitor.ConnPair("control")
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	conn, err := net.FileConn(far)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	q := newQMP(near, onEvent)
	t.Cleanup(func() { q.close(); <-q.broken })
	return q, conn.(*net.UnixConn)
}

func ignore(string, json.RawMessage) {}

// told reads n commands.
func told(t *testing.T, in *json.Decoder, n int) []command {
	t.Helper()
	out := make([]command, n)
	for i := range out {
		if err := in.Decode(&out[i]); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func TestBatchesArePipelined(t *testing.T) {
	q, far := played(t, ignore)
	done := make(chan error, 2)
	go func() { done <- q.run(t.Context(), nil, command{Execute: "a"}, command{Execute: "b"}) }()
	in := json.NewDecoder(far)
	first := told(t, in, 2) // both, though the first has no answer yet
	go func() { done <- q.run(t.Context(), nil, command{Execute: "c"}) }()
	second := told(t, in, 1)
	io.WriteString(far, `{"QMP": {}}`+"\r\n")
	fmt.Fprintf(far, "{\"return\": {}, \"id\": %d}\n", second[0].ID) // another batch's, first
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(far, "{\"return\": {}, \"id\": %d}\n{\"error\": {\"desc\": \"no b\"}, \"id\": %d}\n", first[0].ID, first[1].ID)
	if err := <-done; err == nil || err.Error() != "b: no b" {
		t.Errorf("the batch says %v", err)
	}
	if len(q.waiting) != 0 {
		t.Errorf("%d replies are still awaited", len(q.waiting))
	}
}

func TestDescriptorComesWithItsCommand(t *testing.T) {
	q, far := played(t, ignore)
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.WriteString("it")
	done := make(chan error, 1)
	go func() { done <- q.run(t.Context(), f, command{Execute: "add-fd"}) }()
	buf, oob := make([]byte, 1), make([]byte, 64)
	_, n, _, _, err := far.ReadMsgUnix(buf, oob)
	if err != nil {
		t.Fatal(err)
	}
	msgs, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(msgs) != 1 {
		t.Fatalf("with the first byte came %v, %v", msgs, err)
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil || len(fds) != 1 {
		t.Fatal(fds, err)
	}
	got := os.NewFile(uintptr(fds[0]), "got")
	defer got.Close()
	text := make([]byte, 2)
	if _, err := got.ReadAt(text, 0); err != nil || string(text) != "it" {
		t.Errorf("the descriptor is of %q, %v", text, err)
	}
	io.WriteString(far, "{\"return\":{},\"id\":1}\n")
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestBrokenConnectionEndsWaits(t *testing.T) {
	for what, say := range map[string]string{
		"nothing":         "",
		"half a message":  `{"return":`,
		"no JSON":         "hello\n",
		"a long message":  `{"return":"` + strings.Repeat("x", maxMessage) + `"}` + "\n",
		"replies unasked": strings.Repeat("{\"return\":{},\"id\":9}\n", 1000),
	} {
		q, far := played(t, ignore)
		done := make(chan error, 1)
		go func() { done <- q.run(t.Context(), nil, command{Execute: "a"}) }()
		told(t, json.NewDecoder(far), 1)
		io.WriteString(far, say)
		far.Close()
		if err := <-done; err == nil {
			t.Errorf("after %s the command succeeded", what)
		}
		<-q.broken
		if err := q.run(t.Context(), nil, command{Execute: "b"}); err == nil {
			t.Errorf("after %s another command succeeded", what)
		}
		if len(q.waiting) != 0 {
			t.Errorf("after %s %d replies are awaited", what, len(q.waiting))
		}
	}
}

func TestCommandEndsWithItsContext(t *testing.T) {
	q, _ := played(t, ignore) // and it says nothing
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Millisecond, cancel)
	if err := q.run(ctx, nil, command{Execute: "a"}); !errors.Is(err, context.Canceled) {
		t.Errorf("the command says %v", err)
	}
	if len(q.waiting) != 0 {
		t.Error("its reply is still awaited")
	}
}

func TestEventsReachTheMachine(t *testing.T) {
	m := &machine{migration: make(chan string, 1)}
	q, far := played(t, m.event)
	io.WriteString(far, `{"event":"MIGRATION","data":{"status":"active"}}
{"event":"MIGRATION","data":{"status":"completed"}}
{"event":"MIGRATION","data":{"status":"failed"}}
{"event":"RESUME","timestamp":{}}
{"event":"SHUTDOWN","data":{"reason":"host-signal"}}
{"event":"SHUTDOWN","data":7}
`)
	far.Close()
	<-q.broken
	m.control = q
	if err := m.migrated(t.Context()); err != nil {
		t.Error(err)
	}
	if m.reason != "host-signal" {
		t.Errorf("the reason is %q", m.reason)
	}
	if err := m.migrated(t.Context()); err == nil {
		t.Error("a migration on a broken connection succeeds")
	}
}

// FuzzMessages gives whatever a monitor may say to a client that waits.
func FuzzMessages(f *testing.F) {
	for _, seed := range []string{
		"{\"QMP\": {\"version\": {}}}\r\n{\"return\": {}, \"id\": 1}\r\n",
		"{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}, \"id\": 1}\n",
		"{\"event\":\"MIGRATION\",\"data\":{\"status\":\"completed\"}}\n{\"id\":-1}\n{\"id\":1.5}\n",
		"[]\n", "null\n", "{\"error\":null,\"id\":1}\n", "\n\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		m := &machine{migration: make(chan string, 1)}
		reply := make(chan message, 1)
		q := &qmp{waiting: map[int]chan<- message{1: reply}}
		in := newMessages(bytes.NewReader(said))
		for lines := 0; ; lines++ {
			msg, err := in.next()
			if err != nil {
				return
			}
			if lines > len(said) {
				t.Fatal("more messages than bytes")
			}
			if msg.Event != "" {
				m.event(msg.Event, msg.Data)
			} else if msg.ID != nil {
				q.answer(msg)
			}
			if msg.Error != nil && len(msg.Error.Error()) > monitor.TailBytes {
				t.Fatal("an error of any length")
			}
		}
	})
}

func TestBatchesDoNotMix(t *testing.T) {
	q, far := played(t, ignore)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			name := fmt.Sprint(i)
			if err := q.run(t.Context(), nil, command{Execute: name}, command{Execute: name}); err != nil {
				t.Error(err)
			}
		})
	}
	in := json.NewDecoder(far)
	for range 20 {
		both := told(t, in, 2)
		if both[0].Execute != both[1].Execute {
			t.Errorf("%s is followed by %s", both[0].Execute, both[1].Execute)
		}
		fmt.Fprintf(far, "{\"return\":{},\"id\":%d}\n{\"return\":{},\"id\":%d}\n", both[1].ID, both[0].ID)
	}
	wg.Wait()
}
