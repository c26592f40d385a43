// Package accel measures whether the processor's virtualization can be used.
//
// A /dev/kvm that exists proves nothing: on some hosts it opens, and guests crawl
// or die in it. So Measure makes a VM of one page, runs a short loop in it and
// times that. The daemon calls it once and keeps the answer; a backend is told
// the answer and never asks. It leaves nothing behind.
package accel

import (
	"context"
	"time"
)

// Result is what was found.
type Result struct {
	Usable bool
	Device string        // "/dev/kvm"; empty where there is none to try
	Loop   time.Duration // of the loop in the guest; 0 if it did not end
	Reason string        // one sentence, of a usable accelerator too
}

// Limit is the longest time of the loop on a usable accelerator: real KVM needs
// less than 1 ms, the slow kind seen in the field about 20 ms.
const Limit = 5 * time.Millisecond

// patience bounds a whole measurement. Making a VM takes up to 10 ms on a busy host.
const patience = 2 * time.Second

// Measure times a loop of 20,000 iterations in a VM. It returns within two
// seconds, or when ctx ends, even if the device hangs.
func Measure(ctx context.Context) Result {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return measure(ctx, trial)
}

// measure bounds a trial, which may be stuck in the kernel: then its thread is
// left to it.
func measure(ctx context.Context, try func(context.Context) Result) Result {
	answer := make(chan Result, 1)
	go func() { answer <- try(ctx) }()
	select {
	case r := <-answer:
		return r
	case <-ctx.Done():
		select {
		case r := <-answer:
			return r
		case <-time.After(grace):
		}
		return Result{Device: device, Reason: device + " did not answer in time: " + ctx.Err().Error()}
	}
}

// grace is for a trial that ends because ctx did.
const grace = 100 * time.Millisecond

// judge says whether a loop's time is that of usable hardware.
func judge(loop time.Duration) Result {
	r := Result{Device: device, Loop: loop, Usable: loop <= Limit}
	if r.Usable {
		r.Reason = "a loop in a virtual machine took " + loop.Round(time.Microsecond).String()
	} else {
		r.Reason = "a loop in a virtual machine took " + loop.Round(time.Microsecond).String() +
			", more than " + Limit.String() + ": " + device + " is emulated or crippled"
	}
	return r
}
