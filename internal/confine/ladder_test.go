//go:build linux

package confine

import (
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	if status, mine := Main(os.Args[1:]); mine {
		os.Exit(status)
	}
	os.Exit(m.Run())
}

func TestRungsHere(t *testing.T) {
	for _, rung := range Rungs[:3] {
		if f := attempt(rung, t.TempDir()); f != nil {
			t.Errorf("%s: %+v %v", rung, f, f.Errno)
		}
	}
}
