package e2e

import (
	"testing"
	"time"
)

// patching has the guest's kernel replace its own code, again and again, which the other
// processor runs meanwhile.
const patching = `mount -t tracefs t /sys/kernel/tracing
(while :; do /bin/true; done) &
(while :; do echo x | cat >/dev/null; done) &
while :; do for on in 1 0; do
	echo $on > /sys/kernel/tracing/events/sched/enable
	echo $on > /proc/sys/kernel/sched_schedstats
done; done`

// TestProcessors keeps a guest of two processors busy with what hung it within seconds.
func TestProcessors(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.ok("instance", "start", "--name", "two", "--cpus", "2", "--pause-after", "never", "--", "sh", "-c", patching)
	if got := h.ok("exec", "two", "--", "nproc"); got != "2\n" {
		t.Errorf("it has %q processors", got)
	}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Second) {
		h.ok("exec", "--timeout", "1m", "two", "--", "true")
	}
	h.ok("instance", "delete", "--force", "two")
}
