//go:build linux

package harness

import (
	"bytes"
	"encoding/json"
	"io"
	"time"

	"aegis/internal/fault"
	"aegis/internal/harness/http1"
	"aegis/internal/wire"
)

// route answers one request of a process of the guest.
func (s *self) route(r http1.Request) http1.Response {
	allow := map[string]string{"/v1/self": "GET, HEAD", "/v1/self/lease": "POST, DELETE"}[r.Path]
	switch r.Method + " " + r.Path {
	case "GET /v1/self", "HEAD /v1/self":
		return s.describe()
	case "POST /v1/self/lease":
		return s.take(r.Body)
	case "DELETE /v1/self/lease":
		if _, err := s.ask(wire.GuestEvent{Release: true}); err != nil {
			return problem(err)
		}
		return http1.Response{Status: 204}
	}
	if allow == "" {
		return problem(fault.New(fault.NotFound, "", "find the path", "there are /v1/self and /v1/self/lease and nothing else"))
	}
	res := problemAs(405, fault.New(fault.Usage, "", "answer the request", "this path takes %s", allow))
	res.Allow = allow
	return res
}

// describe is the instance as it may know itself, with its lease.
func (s *self) describe() http1.Response {
	s.mu.Lock()
	facts := s.facts
	s.mu.Unlock()
	return answer(200, struct {
		wire.Self
		Lease *lease `json:"lease"` // null: none
	}{facts, s.held()})
}

// take asks for the lease that body describes.
func (s *self) take(body []byte) http1.Response {
	want, err := parseLease(body)
	if err != nil {
		return problem(err)
	}
	reply, err := s.ask(wire.GuestEvent{Lease: &want})
	if err != nil {
		return problem(err)
	}
	return answer(200, lease{Until: reply.Until, Reason: want.Reason})
}

// parseLease reads {"for":"10m","reason":"…"}.
func parseLease(body []byte) (wire.Lease, error) {
	const what = "take a lease"
	var text struct {
		For    string `json:"for"`
		Reason string `json:"reason"`
	}
	in := json.NewDecoder(bytes.NewReader(body))
	in.DisallowUnknownFields()
	if err := in.Decode(&text); err != nil {
		return wire.Lease{}, fault.New(fault.Invalid, "", what, `the body is not like {"for":"10m","reason":"nightly build"}: %w`, err)
	}
	if _, err := in.Token(); err != io.EOF {
		return wire.Lease{}, fault.New(fault.Invalid, "", what, "something follows the body's object")
	}
	d, err := time.ParseDuration(text.For)
	if err != nil {
		return wire.Lease{}, fault.New(fault.Invalid, "for", what, "%.40q is not a duration like 10m or 1h30m", text.For)
	}
	l := wire.Lease{For: d, Reason: text.Reason}
	return l, l.Check()
}

// answer is a body of JSON with a newline behind it, for people with curl.
func answer(status int, v any) http1.Response {
	body, err := json.Marshal(v)
	if err != nil {
		return problem(err)
	}
	return http1.Response{Status: status, Type: "application/json", Body: append(body, '\n')}
}

// problem is an error as RFC 9457 has it, with the statuses and codes of the host's API.
func problem(err error) http1.Response {
	e := fault.As(err)
	return problemAs(e.Kind.Status(), e)
}

func problemAs(status int, e *fault.Error) http1.Response {
	res := answer(status, map[string]any{"title": e.What, "status": status, "detail": e.Why, "code": e.Kind})
	res.Type = "application/problem+json"
	return res
}
