package wire

import (
	"strings"
	"testing"
	"time"

	"aegis/internal/fault"
)

func TestLeaseBounds(t *testing.T) {
	for _, good := range []Lease{
		{MinLease, ""}, {MaxLease, "nightly build"}, {time.Minute, strings.Repeat("x", MaxReason)}, {time.Minute, "größer – 大"},
	} {
		if err := good.Check(); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
	for name, bad := range map[string]Lease{
		"zero":      {0, ""},
		"negative":  {-time.Hour, ""},
		"short":     {MinLease - 1, ""},
		"long":      {MaxLease + 1, ""},
		"talkative": {time.Minute, strings.Repeat("x", MaxReason+1)},
		"newline":   {time.Minute, "a\nb"},
		"escape":    {time.Minute, "\x1b[2J"},
		"bidi":      {time.Minute, "a\u202eb"},
		"no UTF-8":  {time.Minute, "a\xffb"},
	} {
		if err := bad.Check(); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEventIsOneThing(t *testing.T) {
	lease := &Lease{For: time.Minute}
	for _, good := range []GuestEvent{{Lease: lease}, {Release: true}} {
		if err := good.Check(); err != nil {
			t.Errorf("%+v: %v", good, err)
		}
	}
	for _, bad := range []GuestEvent{{}, {Lease: lease, Release: true}, {Lease: &Lease{}}} {
		if err := bad.Check(); !fault.Is(err, fault.Invalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
