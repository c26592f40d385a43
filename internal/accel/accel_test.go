package accel

import (
	"context"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		loop   time.Duration
		usable bool
	}{{300 * time.Microsecond, true}, {Limit, true}, {Limit + 1, false}, {20 * time.Millisecond, false}} {
		if r := judge(c.loop); r.Usable != c.usable || r.Loop != c.loop || r.Reason == "" {
			t.Errorf("judge(%v) = %+v", c.loop, r)
		}
	}
}

func TestHungDeviceDoesNotHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		start := time.Now()
		r := measure(ctx, func(context.Context) Result { <-release; return Result{Usable: true} })
		if r.Usable || !strings.Contains(r.Reason, "did not answer") {
			t.Errorf("a hung device gives %+v", r)
		}
		if took := time.Since(start); took > patience+grace {
			t.Errorf("it took %v", took)
		}
		close(release)
	})
}

func TestMeasureLeavesNothing(t *testing.T) {
	before := descriptors(t)
	first := Measure(t.Context())
	t.Logf("%+v", first)
	if first.Reason == "" || first.Usable && first.Loop > Limit {
		t.Errorf("Measure() = %+v", first)
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(maps), "kvm-vcpu") {
		t.Error("a virtual processor is still mapped")
	}
}

func TestMeasureObeysContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := Measure(ctx); r.Usable {
		t.Errorf("a cancelled measurement says %+v", r)
	}
}

func descriptors(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("pending: no /proc to count descriptors")
	}
	return len(entries)
}
