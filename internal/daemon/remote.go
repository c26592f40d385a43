package daemon

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"

	"aegis/internal/api"
	"aegis/internal/fault"
)

const (
	// maxRemote bounds the connections of the API over TCP: who has no token can't
	// use up the daemon's descriptors.
	maxRemote = 256
	// headTime bounds how long a request's head may take.
	headTime = 10 * time.Second
	// restTime bounds how long a connection without a request stays.
	restTime = 2 * time.Minute
)

// remote serves the API over TCP where that is configured, else it is nil. What keeps
// it from being served is a warning: the unix socket is there.
func (d *daemon) remote(handler http.Handler) *http.Server {
	if d.config.APIListen == "" {
		return nil
	}
	listener, token, err := d.openRemote()
	if err != nil {
		d.warn = append(d.warn, "the API over TCP is closed: "+fault.As(err).Why)
		d.log.Warn("the API over TCP is closed", "error", err)
		return nil
	}
	d.tcp = listener.Addr().String()
	if addr, ok := listener.Addr().(*net.TCPAddr); !ok || !addr.IP.IsLoopback() {
		d.warn = append(d.warn, fmt.Sprintf("the API answers at %s, which other machines may reach, and without TLS: who reads the traffic has the token", d.tcp))
	}
	server := &http.Server{Handler: api.Remote(handler, token), ReadHeaderTimeout: headTime, IdleTimeout: restTime,
		ErrorLog: slog.NewLogLogger(d.log.Handler(), slog.LevelDebug)}
	go server.Serve(netutil.LimitListener(listener, maxRemote))
	return server
}

// openRemote reads the token before it listens.
func (d *daemon) openRemote() (net.Listener, string, error) {
	token, err := token(d.home.Token())
	if err != nil {
		return nil, "", err
	}
	listener, err := net.Listen("tcp", d.config.APIListen)
	if err != nil {
		return nil, "", fault.New(fault.PortTaken, d.config.APIListen, "open the API over TCP", "%w", err)
	}
	return listener, token, nil
}
