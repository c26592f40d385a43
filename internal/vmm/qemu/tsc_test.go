package qemu

import "testing"

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
