package all

import (
	"context"
	"errors"
	"testing"

	"aegis/internal/fault"
	"aegis/internal/vmm"
)

// stub is a backend of which only name and probe matter.
type stub struct {
	vmm.Backend
	name string
	err  error
}

func (s stub) Name() string                { return s.name }
func (s stub) Caps() vmm.Caps              { return vmm.Caps{Accelerator: s.name} }
func (s stub) Probe(context.Context) error { return s.err }

func TestChooseTakesTheFirstThatWorks(t *testing.T) {
	broken := stub{name: "a", err: errors.New("a is not on PATH")}
	b, verdicts, err := choose(t.Context(), []vmm.Backend{broken, stub{name: "b"}, stub{name: "c"}})
	if err != nil || b.Name() != "b" {
		t.Fatalf("chose %v, %v", b, err)
	}
	want := []Verdict{
		{"a", false, false, "a is not on PATH", vmm.Caps{Accelerator: "a"}},
		{"b", true, true, "the first that works here", vmm.Caps{Accelerator: "b"}},
		{"c", true, false, "b is preferred", vmm.Caps{Accelerator: "c"}},
	}
	for i, v := range verdicts {
		if v != want[i] {
			t.Errorf("verdict %d is %+v, want %+v", i, v, want[i])
		}
	}
	_, verdicts, err = choose(t.Context(), []vmm.Backend{broken})
	if !fault.Is(err, fault.Backend) || len(verdicts) != 1 {
		t.Errorf("with none usable: %v, %v", verdicts, err)
	}
}

func TestFind(t *testing.T) {
	for _, b := range Backends() {
		if found, err := Find(b.Name()); err != nil || found.Name() != b.Name() {
			t.Errorf("Find(%q) = %v, %v", b.Name(), found, err)
		}
	}
	if _, err := Find("bhyve"); !fault.Is(err, fault.Invalid) {
		t.Errorf("Find of an unknown name: %v", err)
	}
}
