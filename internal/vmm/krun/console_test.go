package krun

import (
	"bytes"
	"strings"
	"testing"
)

type sink struct{ bytes.Buffer }

func (*sink) Close() error { return nil }

// TestConsoleIsTold from libkrun's own words, whatever the guest prints.
func TestConsoleIsTold(t *testing.T) {
	const at = "[2026-12-01T01:02:03.123456Z"
	long := strings.Repeat("x", 3*lineMost)
	for name, c := range map[string]struct{ said, console, log string }{
		"both":              {at + " ERROR init_or_kernel] hello\n" + at + " ERROR devices] bad\n", "hello\n", at + " ERROR devices] bad\n"},
		"a guest's forgery": {at + " ERROR init_or_kernel] " + at + " ERROR devices] bad\n", at + " ERROR devices] bad\n", ""},
		"a mark inside":     {"aegis-krun: no ERROR init_or_kernel] here\n", "", "aegis-krun: no ERROR init_or_kernel] here\n"},
		"no line's end":     {at + " ERROR init_or_kernel] a", "a", ""},
		"empty":             {at + " ERROR init_or_kernel] \n\n", "\n", "\n"},
		"long":              {at + " ERROR init_or_kernel] " + long + "\n" + "end\n", long + "\n", "end\n"},
		"long, not marked":  {long + at + " ERROR init_or_kernel] a\n", "", long + at + " ERROR init_or_kernel] a\n"},
	} {
		var console, log sink
		divide(strings.NewReader(c.said), &console, &log)
		if console.String() != c.console || log.String() != c.log {
			t.Errorf("%s: the console has %.80q, the log %.80q", name, console.String(), log.String())
		}
	}
}

func FuzzConsole(f *testing.F) {
	f.Add([]byte("[1 ERROR init_or_kernel] a\nb\n"))
	f.Fuzz(func(t *testing.T, said []byte) {
		var console, log sink
		divide(bytes.NewReader(said), &console, &log)
		if console.Len()+log.Len() > len(said) {
			t.Errorf("%d bytes became %d", len(said), console.Len()+log.Len())
		}
	})
}
