package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"

	"aegis/internal/fault"
)

// maxProblem bounds an error's body, in bytes.
const maxProblem = 1 << 20

// Error is a failure with a stable Code: one that the daemon answered, or
// "unreachable", "cancelled" or "timeout" when no answer came.
type Error struct {
	Problem
	cause error
}

// Error joins what failed and why.
func (e *Error) Error() string { return e.Fault().Error() }

// Fault is the same failure as package fault knows it. A code of a newer daemon
// stays as it is.
func (e *Error) Fault() *fault.Error {
	return &fault.Error{Kind: fault.Kind(e.Code), Subject: e.Subject, What: e.Title, Why: e.Detail, Cause: e.cause}
}

// Unwrap lets errors.As find a *fault.Error.
func (e *Error) Unwrap() error { return e.Fault() }

// ProblemOf is how err is sent to another process. It holds no private cause.
// Its Status is set.
func ProblemOf(err error) Problem {
	f := classify(err)
	return Problem{Title: f.What, Status: f.Kind.Status(), Detail: f.Why, Code: string(f.Kind), Subject: f.Subject}
}

// classify finds the kind of an error that carries none: a context's end is not
// an internal failure.
func classify(err error) *fault.Error {
	var f *fault.Error
	switch {
	case errors.As(err, &f):
		return f
	case errors.Is(err, context.Canceled):
		return &fault.Error{Kind: fault.Cancelled, Why: "it was cancelled", Cause: err}
	case errors.Is(err, context.DeadlineExceeded):
		return &fault.Error{Kind: fault.Timeout, Why: "it took too long", Cause: err}
	}
	return fault.As(err)
}

func problem(kind fault.Kind, subject, what, why string, cause error) *Error {
	p := Problem{Title: what, Status: kind.Status(), Detail: why, Code: string(kind), Subject: subject}
	return &Error{Problem: p, cause: cause}
}

// ended is the error of a call that its context has ended, else nil. A deadline
// may be noticed by the connection before it is by the context.
func ended(ctx context.Context, what string, err error) error {
	cause := ctx.Err()
	if cause == nil && errors.Is(err, os.ErrDeadlineExceeded) {
		cause = context.DeadlineExceeded
	}
	if cause == nil {
		return nil
	}
	f := classify(cause)
	return problem(f.Kind, "", what, f.Why, cause)
}

// readProblem reads the body of a refused request. Whatever answers something
// else than a problem is not an aegisd that we can understand.
func readProblem(resp *http.Response, what string) error {
	e := &Error{}
	err := json.NewDecoder(io.LimitReader(resp.Body, maxProblem)).Decode(&e.Problem)
	if err != nil || e.Code == "" {
		return problem(fault.Internal, "", what, "the daemon answered "+resp.Status+" without a reason", err)
	}
	if e.Title == "" {
		e.Title = what
	}
	return e
}
