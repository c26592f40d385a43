package api

import (
	"net/http"
	"strings"

	"aegis/client"
	"aegis/internal/fault"
)

// methods are those that the path of r has, for a method that it has not.
func methods(mux *http.ServeMux, r *http.Request) (allowed []string) {
	probe := *r
	for _, probe.Method = range []string{"DELETE", "GET", "HEAD", "PATCH", "POST", "PUT"} {
		if _, pattern := mux.Handler(&probe); pattern != "/" {
			allowed = append(allowed, probe.Method)
		}
	}
	return allowed
}

// writeNothing answers a request that no route is for.
func writeNothing(w http.ResponseWriter, r *http.Request, allowed []string) {
	what := "serve " + r.Method + " " + r.URL.Path
	if len(allowed) == 0 {
		writeFault(w, &fault.Error{Kind: fault.NotFound, What: what, Why: "there is no such operation"})
		return
	}
	list := strings.Join(allowed, ", ")
	w.Header().Set("Allow", list)
	writeFault(w, &Failure{client.Problem{Title: what, Status: http.StatusMethodNotAllowed, Detail: "it takes " + list, Code: string(fault.Usage)}})
}
