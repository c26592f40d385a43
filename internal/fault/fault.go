// Package fault holds the closed list of ways in which Aegis refuses or fails.
//
// Every error that crosses a process boundary (shim to daemon, daemon to client)
// or that ends a command is a *fault.Error. Its Kind is the stable code that the
// API answers with, and one table maps each Kind to an HTTP status and a process
// exit status. What and Why are sentences for a person; Cause is private and is
// never sent to another process. The third part of a message, the next command
// to run, belongs to package cli, which derives it from Kind and Subject.
package fault

import (
	"errors"
	"fmt"
)

// Kind is a stable, documented error code. Its strings appear in API answers.
type Kind string

// The closed list of kinds. A new one needs a row in table and, where a next
// command exists, a hint in package cli.
const (
	Usage              Kind = "usage"              // flags or arguments that can never be right
	Invalid            Kind = "invalid"            // a value that no instance can have (name, memory, port)
	Config             Kind = "config_invalid"     // config.toml or an AEGIS_ variable
	NotFound           Kind = "not_found"          // no such instance
	Ambiguous          Kind = "ambiguous"          // an ID prefix that fits several instances
	NameTaken          Kind = "name_taken"         // another instance has the name
	PortTaken          Kind = "port_taken"         // the host port is held by somebody else
	WrongState         Kind = "wrong_state"        // the instance's state does not allow the action
	Workspace          Kind = "workspace_unusable" // missing, unreadable or not a directory
	File               Kind = "file_unusable"      // a file to copy, or its place, is missing or of the wrong kind
	SecretMissing      Kind = "secret_missing"     // a secret that was named is not set
	CommandNotFound    Kind = "command_not_found"  // exit 127
	CommandNotRunnable Kind = "command_not_runnable"
	AssetMissing       Kind = "asset_missing"   // kernel or image is not there: setup makes it
	ImageMissing       Kind = "image_missing"   // an image that was named is not there
	ImageUnusable      Kind = "image_unusable"  // an image is broken, hostile or too large
	ImageInUse         Kind = "image_in_use"    // an instance needs it
	Registry           Kind = "registry_failed" // a registry does not answer, or does not let us in
	AssetDamaged       Kind = "asset_damaged"   // kernel or image is cut short or altered
	Backend            Kind = "backend_unusable"
	BootFailed         Kind = "boot_failed"
	NoSpace            Kind = "no_space"
	PathTooLong        Kind = "path_too_long" // a unix socket's path would not fit sockaddr_un
	Version            Kind = "version_mismatch"
	Unauthorized       Kind = "unauthorized" // a request over TCP without the token
	Forbidden          Kind = "forbidden"    // a request over TCP from a foreign page, or to a foreign name
	Unreachable        Kind = "unreachable"  // the daemon does not answer
	Timeout            Kind = "timeout"
	Backoff            Kind = "backing_off" // the command keeps failing and is held back
	Cancelled          Kind = "cancelled"
	Internal           Kind = "internal"
)

// row is what a Kind means outside the process.
type row struct {
	status int // HTTP status (RFC 9110)
	exit   int // exit status of a plain command; Process has its own rule
}

var table = map[Kind]row{
	Usage:              {400, 2},
	Invalid:            {422, 2},
	Config:             {500, 1},
	NotFound:           {404, 1},
	Ambiguous:          {409, 1},
	NameTaken:          {409, 1},
	PortTaken:          {409, 1},
	WrongState:         {409, 1},
	Workspace:          {422, 1},
	File:               {422, 1},
	SecretMissing:      {422, 1},
	CommandNotFound:    {422, 1},
	CommandNotRunnable: {422, 1},
	AssetMissing:       {503, 1},
	ImageMissing:       {404, 1},
	ImageUnusable:      {422, 1},
	ImageInUse:         {409, 1},
	Registry:           {502, 1},
	AssetDamaged:       {503, 1},
	Backend:            {503, 1},
	BootFailed:         {500, 1},
	NoSpace:            {507, 1},
	PathTooLong:        {500, 1},
	Version:            {409, 1},
	Unauthorized:       {401, 1},
	Forbidden:          {403, 1},
	Unreachable:        {503, 1},
	Timeout:            {504, 1},
	Backoff:            {503, 1},
	Cancelled:          {499, 1},
	Internal:           {500, 1},
}

// Error is a failure that a person reads: what failed and why, without the
// next command.
type Error struct {
	Kind    Kind
	Subject string // the instance, secret, path or flag it is about; may be empty
	What    string // `start instance "web"`: verb and object, no period
	Why     string // `host port 8080 is held by nginx (pid 71)`: one sentence, no period
	Cause   error  // private; never leaves the process
}

// Error joins the public parts. Cause is not in it.
func (e *Error) Error() string {
	switch {
	case e.What == "":
		return e.Why
	case e.Why == "":
		return e.What
	}
	return e.What + ": " + e.Why
}

// Unwrap gives the private cause to errors.Is and errors.As.
func (e *Error) Unwrap() error { return e.Cause }

// New makes an Error whose Why is formatted; %w operands become its Cause.
func New(kind Kind, subject, what, why string, args ...any) *Error {
	wrapped := fmt.Errorf(why, args...)
	cause := errors.Unwrap(wrapped)
	if _, several := wrapped.(interface{ Unwrap() []error }); several {
		cause = wrapped
	}
	return &Error{Kind: kind, Subject: subject, What: what, Why: wrapped.Error(), Cause: cause}
}

// As finds the *Error in err's chain, or makes an Internal one of err.
// It returns nil for nil.
func As(err error) *Error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Kind: Internal, Why: err.Error(), Cause: err}
}

// Is reports whether err carries an *Error of this kind.
func Is(err error, kind Kind) bool {
	var e *Error
	return errors.As(err, &e) && e.Kind == kind
}

// Status is the HTTP status of a kind; an unknown kind is 500.
func (k Kind) Status() int {
	if r, ok := table[k]; ok {
		return r.status
	}
	return 500
}

// Exit is the exit status of a command that ends with a kind and does not
// itself stand for a process.
func (k Kind) Exit() int {
	if r, ok := table[k]; ok {
		return r.exit
	}
	return 1
}

// ExitProcess is the exit status of run, exec, shell and wait, which stand for
// the guest's process: 127 and 126 as a shell gives them, 2 for wrong usage,
// 125 when Aegis itself failed.
func (k Kind) ExitProcess() int {
	switch k {
	case CommandNotFound:
		return 127
	case CommandNotRunnable:
		return 126
	case Usage, Invalid:
		return 2
	}
	return 125
}

// Kinds lists every kind, for tests and documents.
func Kinds() []Kind {
	out := make([]Kind, 0, len(table))
	for k := range table {
		out = append(out, k)
	}
	return out
}
