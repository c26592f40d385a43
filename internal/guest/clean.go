package guest

import (
	"strings"
	"time"
	"unicode"

	"aegis/internal/fault"
	"aegis/internal/wire"
)

// Bounds on what a reply says, beyond those of the message's size.
const (
	maxWhy    = 1024 // bytes of an error's text
	maxStages = 32
	maxStage  = 24 // bytes of a stage's name
)

// refusal turns the guest's refusal into an error of ours. The guest chooses only
// among known kinds, and its text reaches a terminal without control characters.
func refusal(what string, e *wire.Error) error {
	kind := e.Kind
	if !known(kind) {
		kind = fault.Internal
	}
	why := printable(e.Why, maxWhy)
	if why == "" {
		why = "the guest gave no reason"
	}
	return &fault.Error{Kind: kind, What: what, Why: why}
}

func known(k fault.Kind) bool {
	for _, kind := range fault.Kinds() {
		if kind == k {
			return true
		}
	}
	return false
}

// printable bounds s to limit bytes and drops what could steer a terminal.
func printable(s string, limit int) string {
	if len(s) > limit {
		s = s[:limit]
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t':
			return ' '
		case r == unicode.ReplacementChar, !unicode.IsGraphic(r):
			return -1
		}
		return r
	}, s)
}

// stages keeps at most maxStages entries with plain names and sane durations.
func stages(in wire.Stages) wire.Stages {
	out := make(wire.Stages, min(len(in), maxStages))
	for name, d := range in {
		if len(out) == maxStages {
			break
		}
		if name != "" && len(name) <= maxStage && plain(name) {
			out[name] = max(0, min(d, time.Hour))
		}
	}
	return out
}

func plain(s string) bool {
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}

// counters makes every number non-negative, and used no larger than total.
func counters(s wire.Stats) wire.Stats {
	s.Uptime = max(0, s.Uptime)
	s.CPU = max(0, s.CPU)
	s.Processes = max(0, s.Processes)
	s.MemoryTotal = max(0, s.MemoryTotal)
	s.MemoryUsed = max(0, min(s.MemoryUsed, s.MemoryTotal))
	s.DiskTotal = max(0, s.DiskTotal)
	s.DiskUsed = max(0, min(s.DiskUsed, s.DiskTotal))
	return s
}
