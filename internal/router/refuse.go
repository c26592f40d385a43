package router

import (
	"errors"
	"io"
	"net/http"

	"aegis/internal/fault"
)

// retryAfter is what a client that can't be served now is told to wait, in seconds.
const retryAfter = "5"

// unknown is the whole answer for a name that isn't there; it lists nothing.
const unknown = "aegis: no instance here"

// plain answers with one line of text.
func plain(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	io.WriteString(w, text+"\n")
}

// failed answers a request that got no answer from the app: 503 when the instance
// could not be woken, 502 when the app broke off.
func (r *Router) failed(w http.ResponseWriter, req *http.Request, err error) {
	trip := tripOf(req)
	r.log.Debug("request failed", "instance", trip.target.id, "port", trip.target.port, "err", err)
	if trip.waited > 0 {
		w.Header().Set("Server-Timing", timing(trip.waited))
	}
	var known *fault.Error
	switch {
	case !errors.As(err, &known):
		plain(w, http.StatusBadGateway, "aegis: instance "+trip.target.id+": the app closed the connection before it answered")
	case known.Kind == fault.NotFound:
		plain(w, http.StatusNotFound, unknown)
	default:
		w.Header().Set("Retry-After", retryAfter)
		plain(w, http.StatusServiceUnavailable, "aegis: "+public(known, trip.target.id))
	}
}

// public is the part of an error that a client may read, with the instance in it.
func public(e *fault.Error, id string) string {
	if e.Subject == "" || e.What == "" {
		return "connect to instance " + id + ": " + e.Error()
	}
	return e.Error()
}
