package daemon

import (
	"errors"
	"testing"

	"aegis/internal/vmm/fake"
)

// What was missing may have been installed meanwhile.
func TestChoiceIsKeptOnceItIsGood(t *testing.T) {
	asked := 0
	choose := keepGood(func() choice {
		asked++
		if asked < 3 {
			return choice{err: errors.New("no qemu here")}
		}
		return choice{backend: &fake.Backend{}}
	})
	for range 2 {
		if c := choose(); c.err == nil {
			t.Error("it works without a backend")
		}
	}
	for range 2 {
		if c := choose(); c.err != nil || c.backend == nil {
			t.Errorf("%+v", c)
		}
	}
	if asked != 3 {
		t.Errorf("it asked %d times", asked)
	}
}
