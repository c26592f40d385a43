package qemu

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
		s := relay(r, release)
		line := []byte(strings.Repeat("x", relayChunk-1) + "\n")
		for range 4 * relayQueue { // far more than may wait
			if _, err := w.Write(line); err != nil {
				t.Fatal(err)
			}
		}
		io.WriteString(w, "last words\n")
		w.Close()
		<-s.done // though the writer still hangs
		if !strings.HasSuffix(s.last(), "; last words") || len(s.last()) > 2*tailBytes {
			t.Errorf("the tail is %q", s.last())
		}
		close(release)
	})
}

func TestRelayDeliversAll(t *testing.T) {
	var got bytes.Buffer
	s := relay(io.NopCloser(strings.NewReader("a\nb\n")), &got)
	<-s.done
	if got.String() != "a\nb\n" || s.last() != "a; b" {
		t.Errorf("delivered %q, kept %q", got.String(), s.last())
	}
}

func TestTSCRate(t *testing.T) {
	rate := measureTSC()
	if rate == 0 {
		t.Skip("pending: no TSC on this processor")
	}
	again := measureTSC()
	t.Logf("%d kHz, then %d kHz", rate, again)
	if diff := float64(again-rate) / float64(rate); diff > 1e-3 || diff < -1e-3 {
		t.Errorf("two measurements differ by %.5f", diff)
	}
}
