//go:build linux

package harness

import (
	"fmt"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

// pumpName is argv[0] of the second role of this binary: the workspace's pump.
const pumpName = "aegis-fuse-pump"

// Main is the whole program. args is os.Args; the result is the exit status of a
// role that ends, which PID 1 never does: it reboots, and the VM is gone.
func Main(args []string) int {
	if len(args) > 0 && args[0] == pumpName {
		return pumpMain()
	}
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "aegis-harness: it runs only as PID 1 of a guest")
		return 1
	}
	defer endOnPanic()
	signal.Notify(make(chan os.Signal, 1)) // caught and dropped: children get the defaults back
	end(live())
	return 1
}

// live boots, serves the host and returns why the VM ends.
func live() string {
	start := uptime()
	if err := prepare(); err != nil {
		return err.Error()
	}
	if told().vsock {
		var err error
		if vsock, err = listen(); err != nil {
			return err.Error()
		}
	}
	channel, err := openPort(controlPort, bootWait)
	if err != nil {
		return err.Error()
	}
	r := newReaper()
	s := newServer(r, &vm{reaper: r})
	s.self = newSelf(selfSocket)
	s.stages = map[string]time.Duration{"kernel": start, "modules": uptime() - start}
	go r.run()
	return s.serve(channel)
}

// uptime is the time since the kernel started.
func uptime() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
