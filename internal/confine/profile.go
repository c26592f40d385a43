package confine

import (
	"fmt"
	"path/filepath"
	"strings"
)

// profile is what sandbox-exec(1) of macOS holds a process to, in the language of its own
// profiles. Everything is refused but what is written here; the last rule that fits counts.
// Files that are open already stay so. Hypervisor.framework asks for an entitlement and has
// no rule.
type profile struct {
	program string   // the one program that may be run
	reads   []string // files, and directories with all below them
	writes  []string // the same, that may be changed too
	devices []string // files that may be used
	serves  string   // a directory in which sockets may be made; "": none
}

// system is what every program needs before its first line: the loader's cache, the C
// library and what that asks the kernel.
const system = `(version 1)
(deny default)
(import "system.sb")
(allow file-read-metadata)
(allow sysctl-read)
(allow signal (target self))
(deny network*)
(deny process-fork)
(deny mach-register)
(deny file-write*)
`

// text is the profile as sandbox-exec takes it.
func (p profile) text() string {
	var b strings.Builder
	b.WriteString(system)
	fmt.Fprintf(&b, "(allow process-exec %s)\n", literal(p.program))
	fmt.Fprintf(&b, "(allow file-read* file-map-executable %s)\n", literal(p.program))
	for _, path := range p.reads {
		fmt.Fprintf(&b, "(allow file-read* file-map-executable %s)\n", below(path))
	}
	for _, path := range p.writes {
		fmt.Fprintf(&b, "(allow file-read* file-write* %s)\n", below(path))
	}
	for _, path := range p.devices {
		fmt.Fprintf(&b, "(allow file-read* file-write-data file-ioctl %s)\n", literal(path))
	}
	if p.serves != "" {
		fmt.Fprintf(&b, "(allow file-read* file-write* %s)\n", below(p.serves))
		fmt.Fprintf(&b, "(allow network-bind network-inbound %s)\n", below(p.serves))
	}
	return b.String()
}

// literal is one path, below a directory and all in it. The kernel compares names that
// have no links in them.
func literal(path string) string { return "(literal " + quoted(path) + ")" }

func below(path string) string { return "(subpath " + quoted(path) + ")" }

func quoted(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(path) + `"`
}

// profileOf is that of a monitor: its program and needs, and the files that its command
// line names.
func profileOf(program string, s Stay, dir string, named []string) profile {
	p := profile{program: program, reads: append([]string{filepath.Dir(program)}, named...)}
	for _, need := range s.Needs {
		switch need.Kind {
		case Device:
			p.devices = append(p.devices, need.Path)
		case Read, Libraries, Run:
			p.reads = append(p.reads, need.Path)
		}
	}
	if s.Serves {
		p.serves = dir
	}
	return p
}
