// Package api is aegisd's HTTP server: the routes below /v1, their OpenAPI
// document, and the turning of faults into problems (RFC 9457).
//
// The daemon gives it Services, small interfaces that the engine and its
// neighbours implement, and serves the Handler on the home's unix socket and,
// behind Remote, over TCP where that is configured. The types on the wire are
// those of package client. It decides nothing about instances, parses no frame of
// a process connection, and keeps no state.
package api
