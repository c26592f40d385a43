// Package version says which Aegis this is.
package version

// Version is set at link time (-X aegis/internal/version.Version=…).
// A client and a daemon of different versions refuse each other.
var Version = "dev"

// API is the version of the HTTP API, the first element of its paths.
const API = "v1"
