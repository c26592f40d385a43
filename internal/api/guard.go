package api

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"

	"aegis/client"
	"aegis/internal/fault"
	"aegis/internal/version"
)

// anyVersion are the operations that serve clients of every version, so that an
// old daemon can be recognised and stopped.
var anyVersion = map[string]bool{
	"GET " + base + "/version": true,
	"GET " + base + "/status":  true,
	"POST " + base + "/down":   true,
}

// guardVersion refuses clients of another version. One that names no version, as
// curl does, vouches for itself.
func guardVersion(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(client.VersionHeader, version.Version)
		theirs := r.Header.Get(client.VersionHeader)
		if theirs != "" && theirs != version.Version && !anyVersion[r.Method+" "+r.URL.Path] {
			writeFault(w, fault.New(fault.Version, "", "speak to the daemon",
				"the daemon is version %s and this client is version %.40q", version.Version, theirs))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// guardPanics answers an internal problem when a handler panics, or ends the
// connection if its answer has begun. The stack goes to the log alone.
func guardPanics(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := &beginning{ResponseWriter: w}
		defer func() {
			reason := recover()
			switch reason {
			case nil:
				return
			case http.ErrAbortHandler: // the way to end a connection (net/http)
				panic(reason)
			}
			log.Error("request panicked", "request", r.Method+" "+r.URL.Path, "panic", fmt.Sprint(reason), "stack", string(debug.Stack()))
			if begun.yes {
				panic(http.ErrAbortHandler)
			}
			writeFault(w, &fault.Error{Kind: fault.Internal, What: "serve " + r.Method + " " + r.URL.Path, Why: "the daemon met a bug; its log says more"})
		}()
		next.ServeHTTP(begun, r)
	})
}

// beginning notices that an answer has begun.
type beginning struct {
	http.ResponseWriter
	yes bool
}

func (b *beginning) WriteHeader(status int) {
	b.yes = true
	b.ResponseWriter.WriteHeader(status)
}

func (b *beginning) Write(p []byte) (int, error) {
	b.yes = true
	return b.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (b *beginning) Unwrap() http.ResponseWriter { return b.ResponseWriter }
