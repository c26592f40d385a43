package qemu

import (
	"time"
)

// rdtsc reads the time-stamp counter (Intel SDM volume 2, RDTSC).
func rdtsc() uint64

const (
	tscSpan  = 10 * time.Millisecond // an error of 100 ns in both ends is 20 ppm of it
	tscTries = 50                    // readings at each end; the tightest counts
)

// measureTSC counts ticks against the monotonic clock. CPUID's leaf 0x15 is often
// empty in virtual machines, and "cpu MHz" of /proc/cpuinfo is the current
// frequency on real ones, so neither is asked.
func measureTSC() int {
	t0, c0 := readTSC()
	time.Sleep(tscSpan)
	t1, c1 := readTSC()
	span := t1.Sub(t0)
	if span <= 0 || c1 <= c0 {
		return 0
	}
	return int(float64(c1-c0) / float64(span.Nanoseconds()) * 1e6)
}

// readTSC pairs the clock with the counter. Being preempted between the two
// readings would spoil the pair, so of many the tightest is taken.
func readTSC() (time.Time, uint64) {
	var at time.Time
	var count uint64
	best := ^uint64(0)
	for range tscTries {
		before := rdtsc()
		now := time.Now()
		after := rdtsc()
		if after-before < best {
			best, at, count = after-before, now, before+(after-before)/2
		}
	}
	return at, count
}
