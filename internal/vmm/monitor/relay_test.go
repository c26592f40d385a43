package monitor

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/synctest"
)

// stuck takes nothing until it is released.
type stuck chan struct{}

func (s stuck) Write(b []byte) (int, error) { <-s; return len(b), nil }

func TestRelayNeverHoldsUpTheWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		release := make(stuck)
		s := Relay(r, release)
		line := []byte(strings.Repeat("x", relayChunk-1) + "\n")
		for range 4 * relayQueue { // far more than may wait
			if _, err := w.Write(line); err != nil {
				t.Fatal(err)
			}
		}
		io.WriteString(w, "last words\n")
		w.Close()
		<-s.Done // though the writer still hangs
		if !strings.HasSuffix(s.Last(), "; last words") || len(s.Last()) > 2*TailBytes {
			t.Errorf("the tail is %q", s.Last())
		}
		close(release)
	})
}

func TestRelayDeliversAll(t *testing.T) {
	var got bytes.Buffer
	s := Relay(io.NopCloser(strings.NewReader("a\nb\n")), &got)
	<-s.Done
	if got.String() != "a\nb\n" || s.Last() != "a; b" {
		t.Errorf("delivered %q, kept %q", got.String(), s.Last())
	}
}
