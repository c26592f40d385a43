// Package guest is the host's end of the link to a guest: it opens the control
// channel, starts operations and checks everything that comes back.
//
// Who calls it: the shim, and nobody else. It never starts a VM, never writes a
// log and never interprets a process's output. The guest is hostile: what it says
// is bounded in size, count and order, its text is stripped of control
// characters, and it can open no stream of its own. Package wire is the protocol.
package guest
