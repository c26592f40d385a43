package e2e

import (
	"fmt"
	"testing"
	"time"
)

// TestReasons provokes the ends that a guest has by itself.
func TestReasons(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	for name, c := range map[string]struct {
		command []string
		reason  string
		signal  int
	}{
		"oom":    {[]string{"python", "-c", "x = []\nwhile True: x.append(bytearray(1 << 20))"}, "oom", 9},
		"panics": {[]string{"sh", "-c", "echo c > /proc/sysrq-trigger; sleep 60"}, "guest-panic", 0},
		"off":    {[]string{"sh", "-c", "echo b > /proc/sysrq-trigger; sleep 60"}, "vm-died", 0},
	} {
		t.Run(name, func(t *testing.T) {
			h.ok("instance", "start", "--name", name, "-m", "192M", "--", c.command[0], c.command[1], c.command[2])
			h.state(name, "STOPPED", time.Minute)
			exit := h.info(name).Exit
			if exit == nil || exit.Reason != c.reason || exit.Signal != c.signal {
				t.Errorf("exit: %+v, want %s", exit, c.reason)
			}
			if c.reason != "oom" && exit.Error == "" {
				t.Error("the exit does not say why")
			}
		})
	}
	t.Run("always starts again", func(t *testing.T) {
		h.ok("instance", "start", "--name", "svc", "--restart", "always", "--", "sh", "-c", "echo started; sleep 1; exit 1")
		h.eventually(time.Minute, "it has started twice", func() error {
			if n := len(h.info("svc").Wakes); n < 2 {
				return fmt.Errorf("%d starts", n)
			}
			return nil
		})
		h.ok("instance", "stop", "svc")
	})
}
