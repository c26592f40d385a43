package krun

import (
	"os"
	"testing"

	"aegis/internal/confine"
	"aegis/internal/vmm/monitor"
)

// TestMain lets the test binary be the stage of a process.
func TestMain(m *testing.M) {
	if status, mine := monitor.GuardMain(os.Args[1:]); mine {
		os.Exit(status)
	}
	if status, mine := confine.Main(os.Args[1:]); mine {
		os.Exit(status)
	}
	os.Exit(m.Run())
}
