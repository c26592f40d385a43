package shim

import (
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// pair is two ends of a unix stream.
func pair(t *testing.T) (a, b *net.UnixConn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	ends := make([]*net.UnixConn, 2)
	for i, fd := range fds {
		syscall.CloseOnExec(fd)
		f := os.NewFile(uintptr(fd), "end")
		c, err := net.FileConn(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		ends[i] = c.(*net.UnixConn)
		ends[i].SetDeadline(time.Now().Add(30 * time.Second))
	}
	return ends[0], ends[1]
}

// joined is a client and an app with a join between them, and its end.
func joined(t *testing.T) (client, app *net.UnixConn, done chan struct{}) {
	t.Helper()
	client, a := pair(t)
	b, app := pair(t)
	done = make(chan struct{})
	go func() {
		join(a, b)
		a.Close()
		b.Close()
		close(done)
	}()
	return client, app, done
}

func TestJoinPassesEachEndOn(t *testing.T) {
	client, app, done := joined(t)
	client.Write([]byte("question"))
	client.CloseWrite()
	if got, err := io.ReadAll(app); string(got) != "question" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	app.Write([]byte("answer"))
	app.CloseWrite()
	if got, err := io.ReadAll(client); string(got) != "answer" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	<-done
}

// An app may answer and hear no more, while its client goes on to send.
func TestJoinKeepsAnEarlyAnswer(t *testing.T) {
	client, app, done := joined(t)
	app.CloseRead()
	client.Write(make([]byte, 64<<10))
	time.Sleep(10 * time.Millisecond) // for the failure of that direction to be noticed first
	app.Write([]byte("413"))
	app.Close()
	if got, err := io.ReadAll(client); string(got) != "413" {
		t.Errorf("%q %v", got, err)
	}
	client.Close()
	<-done
}

// An app that sends for ever must not outlive its client.
func TestJoinEndsWithItsClient(t *testing.T) {
	client, app, done := joined(t)
	go io.Copy(app, endless{})
	io.ReadFull(client, make([]byte, 1<<20))
	client.Close()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Error("it goes on")
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
