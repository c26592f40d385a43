package qemu

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"aegis/internal/vmm"
)

// written makes a template's files without a VM.
func written(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	ram, err := os.Create(filepath.Join(dir, ramFile))
	if err != nil {
		t.Fatal(err)
	}
	defer ram.Close()
	state, err := os.Create(filepath.Join(dir, stateFile))
	if err != nil {
		t.Fatal(err)
	}
	defer state.Close()
	state.WriteString("devices")
	ram.Truncate(minMemory)
	m := &machine{template: dir, tscKHz: tscKHz(), major: 7}
	made, err := m.describe(state)
	if err == nil {
		err = m.publish(made)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func verified(dir string, memory int64) error {
	tmpl, err := openTemplate(dir, memory)
	if err != nil {
		return err
	}
	defer tmpl.close()
	return tmpl.verify(tscKHz)
}

func TestTemplateIsChecked(t *testing.T) {
	if err := verified(written(t), minMemory); err != nil {
		t.Fatal(err)
	}
	edit := func(change func(*manifest)) func(dir string) error {
		return func(dir string) error {
			var m manifest
			text, err := os.ReadFile(filepath.Join(dir, manifestFile))
			if err == nil {
				err = json.Unmarshal(text, &m)
			}
			change(&m)
			text, merr := json.Marshal(m)
			return errors.Join(err, merr, os.WriteFile(filepath.Join(dir, manifestFile), text, 0o600))
		}
	}
	for what, spoil := range map[string]func(dir string) error{
		"a byte of the state": func(dir string) error { return os.WriteFile(filepath.Join(dir, stateFile), []byte("Devices"), 0) },
		"the memory's time": func(dir string) error {
			return os.Chtimes(filepath.Join(dir, ramFile), time.Time{}, time.Now().Add(time.Hour))
		},
		"a manifest cut short": func(dir string) error { return os.Truncate(filepath.Join(dir, manifestFile), 9) },
		"no manifest":          func(dir string) error { return os.Remove(filepath.Join(dir, manifestFile)) },
		"another clock":        edit(func(m *manifest) { m.TSC += m.TSC/100 + 1 }),
		"another format":       edit(func(m *manifest) { m.Format++ }),
	} {
		dir := written(t)
		if err := spoil(dir); err != nil {
			t.Fatal(err)
		}
		if err := verified(dir, minMemory); !errors.Is(err, vmm.ErrTemplate) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := verified(written(t), 2*minMemory); !errors.Is(err, vmm.ErrTemplate) {
		t.Errorf("another guest's memory: %v", err)
	}
}

func TestSameClock(t *testing.T) {
	for _, c := range []struct {
		a, b int
		same bool
	}{{2596146, 2596146, true}, {2596146, 2597000, true}, {2597000, 2596146, true}, {2596146, 2600000, false}, {2600000, 2596146, false}, {0, 0, true}, {0, 1, false}} {
		if got := sameClock(c.a, c.b); got != c.same {
			t.Errorf("sameClock(%d, %d) is %t", c.a, c.b, got)
		}
	}
}
