package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"aegis/client"
	"aegis/internal/fault"
)

// problemType is the media type of RFC 9457.
const problemType = "application/problem+json"

// Failure is a problem that the HTTP library can answer with.
type Failure struct {
	client.Problem
}

// Error joins what failed and why.
func (f *Failure) Error() string { return f.Title + ": " + f.Detail }

// GetStatus is the HTTP status.
func (f *Failure) GetStatus() int { return f.Status }

// ContentType replaces JSON's media type.
func (f *Failure) ContentType(string) string { return problemType }

// setup makes the HTTP library report its own refusals as problems and compare
// field names exactly. Both are globals of the library.
var setup = sync.OnceFunc(func() {
	huma.NewError = refuse
	huma.ValidateStrictCasing = true
	huma.DefaultArrayNullable = false
})

// refuse is a request that does not fit the OpenAPI document. A value that was
// sent is never echoed: it may be a secret in an environment.
func refuse(status int, message string, errs ...error) huma.StatusError {
	kind := fault.Usage
	if status == http.StatusUnprocessableEntity || status == http.StatusRequestEntityTooLarge {
		kind = fault.Invalid
	}
	if status >= 500 {
		kind = fault.Internal
	}
	var why []string
	for _, err := range errs {
		why = append(why, sentence(err))
	}
	if len(why) == 0 {
		why = []string{message}
	}
	return &Failure{client.Problem{Title: "read the request", Status: status, Detail: strings.Join(why, "; "), Code: string(kind)}}
}

func sentence(err error) string {
	var d huma.ErrorDetailer
	if !errors.As(err, &d) {
		return err.Error()
	}
	detail := d.ErrorDetail()
	if detail.Location == "" {
		return detail.Message
	}
	return detail.Location + ": " + detail.Message
}

// failed turns a service's error into an answer. An internal one is for the
// daemon's log as well, with its private cause.
func (s *server) failed(operation string, err error) *Failure {
	p := client.ProblemOf(err)
	if p.Code == string(fault.Internal) {
		s.Log.Error("request failed", "operation", operation, "error", err, "cause", errors.Unwrap(fault.As(err)))
	}
	if p.Title == "" {
		p.Title = strings.ReplaceAll(operation, "-", " ")
	}
	return &Failure{p}
}

// writeFault answers with a problem, outside the HTTP library's care.
func writeFault(w http.ResponseWriter, err error) {
	var f *Failure
	if !errors.As(err, &f) {
		f = &Failure{client.ProblemOf(err)}
	}
	w.Header().Set("Content-Type", problemType)
	w.WriteHeader(f.Status)
	json.NewEncoder(w).Encode(f) // a client that has gone needs no answer
}
