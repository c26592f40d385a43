package router

import (
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// exhausted is a listener that has no descriptor to give until some tries have failed.
type exhausted struct {
	net.Listener
	left  atomic.Int64
	tries []time.Time
}

func (l *exhausted) Accept() (net.Conn, error) {
	l.tries = append(l.tries, time.Now())
	if l.left.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return nil, net.ErrClosed
}

func TestAcceptOutlivesExhaustion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &exhausted{}
		l.left.Store(20)
		v := newVisitors(1)
		if _, err := v.admit(l).Accept(); err != net.ErrClosed {
			t.Fatal(err)
		}
		if len(l.tries) != 21 {
			t.Fatalf("%d tries", len(l.tries))
		}
		if d := l.tries[1].Sub(l.tries[0]); d != 5*time.Millisecond {
			t.Errorf("the first pause is %v", d)
		}
		if d := l.tries[20].Sub(l.tries[19]); d != time.Second {
			t.Errorf("the last pause is %v", d)
		}
		if len(v.slots) != 0 {
			t.Error("a failed accept kept its slot")
		}
	})
}

func TestCloseEndsAnExhaustedAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &exhausted{}
		l.left.Store(1 << 40)
		v := newVisitors(1)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			v.admit(l).Accept()
		}()
		time.Sleep(time.Minute)
		v.close()
		<-ended
	})
}

func TestCloseGivesUpOnStuckWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVisitors(1)
		stuck := make(chan struct{})
		go v.work(func() { <-stuck })
		synctest.Wait()
		began := time.Now()
		if v.close() || time.Since(began) != farewell {
			t.Errorf("gave up after %v", time.Since(began))
		}
		close(stuck)
		if !v.close() {
			t.Error("still waits")
		}
		v.work(func() { t.Error("work after close") })
		defer func() {
			if recover() != http.ErrAbortHandler {
				t.Error("a request after close is answered")
			}
		}()
		v.handler(nil).ServeHTTP(nil, nil)
	})
}
