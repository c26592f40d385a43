package api

import (
	"encoding/json"
	"net"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"aegis/client"
	"aegis/internal/fault"
)

// processes registers the routes that become connections.
func (s *server) processes() {
	raw(s, upgrade("run-instance", "/instances/{ref}/run", "Start an instance, attached to its command"),
		func(w http.ResponseWriter, r *http.Request, in *Target) error {
			return s.connect(w, r, func() (net.Conn, error) {
				conn, wake, err := s.Processes.Run(r.Context(), in.Ref)
				if err == nil {
					told, _ := json.Marshal(wake) // numbers and words
					w.Header().Set(client.WakeHeader, string(told))
				}
				return conn, err
			})
		})

	type exec struct {
		Target
		Body client.Exec
	}
	raw(s, upgrade("exec-instance", "/instances/{ref}/exec", "Run one more process, attached to it"),
		func(w http.ResponseWriter, r *http.Request, in *exec) error {
			return s.connect(w, r, func() (net.Conn, error) { return s.Processes.Exec(r.Context(), in.Ref, in.Body) })
		})
}

func upgrade(id, path, summary string) huma.Operation {
	op := operation(id, http.MethodPost, path, summary, http.StatusSwitchingProtocols)
	op.Description = "The request has `Upgrade: " + client.Upgrade + "`. After 101 the connection carries frames both ways until the exit frame."
	return op
}

// connect opens the process's connection and then gives up HTTP.
func (s *server) connect(w http.ResponseWriter, r *http.Request, open func() (net.Conn, error)) error {
	if !strings.EqualFold(r.Header.Get("Upgrade"), client.Upgrade) {
		return fault.New(fault.Usage, "", "", "the request lacks the header Upgrade: %s", client.Upgrade)
	}
	process, err := open()
	if err != nil {
		return err
	}
	defer process.Close()
	conn, err := hijack(w)
	if err != nil {
		return err
	}
	defer conn.Close()
	relay(conn, process)
	return nil
}
