package api

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"aegis/client"
	"aegis/internal/version"
)

// peer is a client's connection after 101; what the HTTP server has already read
// comes first.
type peer struct {
	net.Conn
	early io.Reader
}

func (p peer) Read(b []byte) (int, error) { return p.early.Read(b) }

// hijack takes the connection from the HTTP server and answers 101, with what was said
// of a start.
func hijack(w http.ResponseWriter) (net.Conn, error) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, fmt.Errorf("take the connection: %w", err)
	}
	conn.SetDeadline(time.Time{})
	// A failed write is a client that has gone; the relay notices.
	told := ""
	if wake := w.Header().Get(client.WakeHeader); wake != "" {
		told = client.WakeHeader + ": " + wake + "\r\n"
	}
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n%s: %s\r\n%s\r\n",
		client.Upgrade, client.VersionHeader, version.Version, told)
	return peer{conn, buffered.Reader}, nil
}

// relay copies both ways until the process's side has ended. A half-close of the
// client is passed on; its loss ends the process's connection. A process that
// hears no more may still have last words: these must come, whatever the client
// goes on to send.
func relay(conn, process net.Conn) {
	go func() {
		_, err := io.Copy(process, conn)
		if err != nil {
			_, err = io.Copy(io.Discard, conn)
		}
		if err != nil || closeWrite(process) != nil {
			process.Close()
		}
	}()
	io.Copy(conn, process)
}

// closeWrite ends the bytes to the process. A connection without half-close is
// closed whole: the client has gone.
func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.Close()
}
