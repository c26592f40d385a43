//go:build !linux

package router

import "net/netip"

// process names nobody: there is no /proc to ask.
func process(netip.Addr, uint16) string { return "" }
