package cli

import (
	"testing"
	"time"

	"aegis/client"
)

func TestCompare(t *testing.T) {
	before := []client.Instance{{ID: "a", CPUUsed: "10s"}, {ID: "gone", CPUUsed: "1s"}, {ID: "again", CPUUsed: "1h"}}
	after := []client.Instance{{ID: "a", CPUUsed: "12.5s"}, {ID: "new", CPUUsed: "500ms"}, {ID: "again", CPUUsed: "1s"}, {ID: "stopped"}}
	want := map[string]float64{"a": 125, "new": 25, "again": 50, "stopped": 0}
	got := compare(before, after, 2*time.Second)
	for _, u := range got {
		if u.CPU != want[u.ID] || u.CPUUsed == "" {
			t.Errorf("%s: %v%% %q, want %v%%", u.ID, u.CPU, u.CPUUsed, want[u.ID])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d of %d", len(got), len(want))
	}
}

func TestCPUTime(t *testing.T) {
	for text, want := range map[string]string{"7.290069719s": "7.29s", "1h0m0.004s": "1h0m0s", "0s": "0s", "-": "-"} {
		if got := cpuTime(text); got != want {
			t.Errorf("%s is shown as %s, want %s", text, got, want)
		}
	}
}
