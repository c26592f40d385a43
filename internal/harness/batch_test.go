//go:build linux

package harness

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
)

// writes is a connection that keeps each write by itself.
type writes struct {
	net.Conn
	mu    sync.Mutex
	all   [][]byte
	fails error
	ended bool
}

func (w *writes) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fails != nil {
		return 0, w.fails
	}
	w.all = append(w.all, bytes.Clone(p))
	return len(p), nil
}

func (w *writes) Close() error { w.ended = true; return nil }

// TestShortWritesAreJoined holds that what goroutines write one upon the other is one
// write, that nothing waits for more to come, and that a long one is copied nowhere.
func TestShortWritesAreJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to, others := &writes{}, make(chan struct{})
		b := newBatch(to)
		defer b.Close()
		b.yield = func() { <-others }
		long := bytes.Repeat([]byte("l"), batchMost+1)
		b.Write([]byte("one "))
		b.Write([]byte("one "))
		synctest.Wait()
		b.Write([]byte("one"))
		close(others)
		synctest.Wait()
		b.Write([]byte("two"))
		synctest.Wait()
		b.Write([]byte("three"))
		b.Write(long)
		b.Write([]byte("five"))
		synctest.Wait()
		want := []string{"one one one", "two", "three", string(long), "five"}
		if len(to.all) != len(want) {
			t.Fatalf("%.40q", to.all)
		}
		for i, w := range want {
			if g := string(to.all[i]); g != w {
				t.Errorf("write %d is %.20q, want %.20q", i, g, w)
			}
		}
	})
}

// TestBatchKeepsOrder writes lengths of all kinds, and reads them back from a pipe.
func TestBatchKeepsOrder(t *testing.T) {
	ours, theirs := net.Pipe()
	b := newBatch(ours)
	var want []byte
	go func() {
		for i := range 2000 {
			b.Write(bytes.Repeat([]byte{byte(i)}, i*7%(3*batchMost)))
		}
	}()
	for i := range 2000 {
		want = append(want, bytes.Repeat([]byte{byte(i)}, i*7%(3*batchMost))...)
	}
	got := make([]byte, len(want))
	if _, err := io.ReadFull(theirs, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("not what was written: %v", err)
	}
	b.Close()
}

// TestBatchFails holds that a write that fails behind its caller's back ends the connection,
// and that those behind it fail.
func TestBatchFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &writes{fails: errors.New("gone")}
		b := newBatch(to)
		defer b.Close()
		if n, err := b.Write([]byte("x")); n != 1 || err != nil {
			t.Errorf("a short write waited for its end: %d, %v", n, err)
		}
		synctest.Wait()
		if !to.ended {
			t.Error("who only reads waits for ever")
		}
		if _, err := b.Write([]byte("y")); err != to.fails {
			t.Errorf("the next: %v", err)
		}
	})
}
