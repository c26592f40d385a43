package krun_test

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"

	"aegis/internal/accel"
	"aegis/internal/confine"
	"aegis/internal/vmm/krun"
	"aegis/internal/vmm/vmmtest"
)

// TestContract needs KVM, which the lab has (make lab BACKEND=libkrun). The processes are
// held by the best rung that the machine allows.
func TestContract(t *testing.T) {
	backend := krun.New(sync.OnceValue(func() error {
		if r := accel.Measure(context.Background()); !r.Usable {
			return errors.New(r.Reason)
		}
		return nil
	}))
	if err := backend.Probe(t.Context()); err != nil {
		t.Skipf("pending: libkrun can't run here: %v", err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	found, err := confine.Ask(t.Context(), program, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the processes are held by rung %s %s", found.Rung, found.Cause)
	vmmtest.Run(t, backend, vmmtest.Assets{Harness: vmmtest.BuildInit(t), Confinement: string(found.Rung)})
}
