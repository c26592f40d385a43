package shim

import (
	"net"
	"time"
)

// farewellTime bounds how long the last report may take to reach a daemon. One
// that is not told finds exit.json.
const farewellTime = time.Second

// farewell accepts nothing more, and waits until every operation under way has told
// its end.
func (r *run) farewell(l *net.UnixListener) {
	l.Close()
	deadline := time.After(farewellTime)
	idle := make(chan struct{})
	go func() {
		r.ops.Wait()
		close(idle)
	}()
	select {
	case <-idle:
	case <-deadline:
	}
}
