//go:build linux

package confine

import (
	"fmt"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	elsewhereFirst()
	if status, mine := Main(os.Args[1:]); mine {
		os.Exit(status)
	}
	args := append(os.Args[1:], "", "", "", "", "")
	var err error
	switch args[0] {
	case launchWord:
		err = launchMain(args[1], args[2], Rung(args[3]), args[4])
	case probeWord:
		err = probeMain(args[1], Rung(args[2]), args[3], args[4])
	case tortureWord, panicWord, foreignWord:
		err = tortureMain(args[0], args[1], Rung(args[2]), args[4] != "")
	case containerWord:
		err = containerMain(args[1], os.Args[3:])
	case readyWord:
		err = readyMain(Rung(args[1]), args[2] != "")
	case deathWord:
		err = deathMain()
	case privateWord:
		err = privateMain()
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func TestRungsHere(t *testing.T) {
	for _, rung := range Rungs[:3] {
		if f := attempt(rung, t.TempDir()); f != nil {
			t.Errorf("%s: %+v %v", rung, f, f.Errno)
		}
	}
}
