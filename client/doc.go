// Package client is the Go client of aegisd, and all that the aegis command uses.
//
// A Client speaks HTTP/JSON over the daemon's unix socket (New), or over TCP
// where the daemon is configured so (Dial). Its types are the documented wire
// types: the server answers with the same ones. Errors are *Error values whose
// Code is stable.
package client
