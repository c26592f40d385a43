// Package instance is the domain: what an instance is, which states it has and
// what moves it between them. It is pure: no clock, no disk, no network. The
// engine acts on what it decides; the store keeps its values; the shim gets a
// Launch and an Assignment.
package instance

import (
	"net"
	"strconv"
	"time"
)

// Spec is what a user asked for. It does not change after creation.
type Spec struct {
	Name       string            `json:"name"`
	Image      string            `json:"image"`              // as given; "" is the default image
	Platform   string            `json:"platform,omitempty"` // of the guest, as ParsePlatform gives it; "" : the host's
	Command    []string          `json:"command"`            // empty: the image's own, else an idle instance
	Workdir    string            `json:"workdir"`            // "" : /workspace when there is one, else the image's
	User       string            `json:"user"`
	Env        map[string]string `json:"env"`
	Secrets    []string          `json:"secrets"` // names, never values
	Workspace  *Workspace        `json:"workspace"`
	Ports      []Port            `json:"ports"`
	CPUs       int               `json:"cpus"`
	Memory     int64             `json:"memory"` // bytes
	Disk       int64             `json:"disk"`   // bytes, of the sparse writable layer
	Net        string            `json:"net"`    // public, lan or none
	AllowHosts []string          `json:"allow_hosts,omitempty"`
	AllowCIDRs []string          `json:"allow_cidrs,omitempty"`
	Labels     map[string]string `json:"labels"`
	Backend    string            `json:"backend"`     // "" : chosen by probing
	PauseAfter Timeout           `json:"pause_after"` // idle time until PAUSED
	StopAfter  Timeout           `json:"stop_after"`  // paused time until STOPPED
	Restart    string            `json:"restart"`
	Ephemeral  bool              `json:"ephemeral"`             // of `run`: deleted when it has stopped
	TTY        bool              `json:"tty"`                   // the command gets a terminal
	NoTemplate bool              `json:"no_template,omitempty"` // it always boots
}

// Workspace is the directory served at /workspace.
type Workspace struct {
	Path      string `json:"path"` // absolute, on the host
	ReadOnly  bool   `json:"read_only"`
	Temporary bool   `json:"temporary"` // made by Aegis for an ephemeral run, and deleted with it
}

// Net is what a guest may reach: a mode, and the allow-lists when there are any.
type Net struct {
	Mode       string   `json:"mode"`
	AllowHosts []string `json:"allow_hosts"`
	AllowCIDRs []string `json:"allow_cidrs"`
}

// Protocols of an exposed port.
const (
	HTTP = "http"
	TCP  = "tcp"
)

// Port is one static exposed port. Host is fixed at creation, chosen or given.
type Port struct {
	Guest    uint16 `json:"guest"`
	IP       string `json:"ip"`
	Host     uint16 `json:"host"` // 0 only before creation: choose one
	Protocol string `json:"protocol"`
}

// Timeout is a duration that may be switched off. Zero is off.
type Timeout time.Duration

// Reasons of an exit.
const (
	Exited     = "exited"      // the command ended by itself
	StoppedBy  = "stopped"     // a user's stop
	IdledOut   = "idle"        // paused for stop-after
	OutOfMem   = "oom"         // the guest's kernel killed the command for memory
	BootFailed = "boot-failed" // the command never began
	VMDied     = "vm-died"     // monitor, helper or shim ended
	GuestPanic = "guest-panic" // the guest's kernel panicked

	Saved = "saved" // a template's maker left it; no instance's
)

// Exit is how the last life of an instance ended.
type Exit struct {
	Code   int       `json:"code"`
	Signal int       `json:"signal"`
	Reason string    `json:"reason"`
	Error  string    `json:"error"` // for boot-failed and vm-died: the text
	At     time.Time `json:"at"`
}

// URL is where a client on this host reaches the port. A port on every address is
// reached through loopback.
func (p Port) URL() string {
	scheme := p.Protocol
	ip := net.ParseIP(p.IP)
	switch {
	case ip == nil, ip.Equal(net.IPv4zero):
		ip = net.IPv4(127, 0, 0, 1)
	case ip.Equal(net.IPv6zero):
		ip = net.IPv6loopback
	}
	url := scheme + "://" + net.JoinHostPort(ip.String(), strconv.Itoa(int(p.Host)))
	if scheme == HTTP {
		url += "/"
	}
	return url
}
