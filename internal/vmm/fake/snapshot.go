package fake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"aegis/internal/undo"
	"aegis/internal/vmm"
)

// The files of a template.
const (
	ramFile   = "ram"   // RAM's bytes
	stateFile = "state" // a state, written last
)

// state is all of a template but its RAM. A real monitor takes a wrong shape without
// a word; here the tests of others learn of it.
type state struct {
	Build string `json:"build"`
	RAM   string `json:"ram"` // SHA-256, hexadecimal
	Shape string `json:"shape"`
}

// shape is what a restored VM must have in common with the one that was saved.
func shape(cfg vmm.Config) string {
	s := fmt.Sprintf("%d processors, %d bytes, ports %v, NIC %t, disks", cfg.CPUs, cfg.Memory, cfg.Ports, cfg.NIC != nil)
	for _, d := range cfg.Disks {
		s += fmt.Sprintf(" %s,%t", d.Serial, d.ReadOnly)
	}
	return s
}

// Snapshots implements vmm.Backend.
func (b *Backend) Snapshots() (vmm.Snapshotter, bool) {
	if b.NoSnapshots {
		return nil, false
	}
	return snapshotter{b}, true
}

// snapshotter implements vmm.Snapshotter.
type snapshotter struct{ b *Backend }

// Version implements vmm.Snapshotter.
func (s snapshotter) Version(ctx context.Context) (string, error) {
	return "fake " + s.b.Build, ctx.Err()
}

// Save implements vmm.Snapshotter.
func (s snapshotter) Save(ctx context.Context, vm vmm.VM) error {
	m, ok := vm.(*machine)
	if !ok {
		vm.Close()
		return errors.New("save: not a VM of this backend")
	}
	defer m.Close()
	if err := s.save(ctx, m); err != nil {
		return fmt.Errorf("save: %w", err)
	}
	return nil
}

func (s snapshotter) save(ctx context.Context, m *machine) error {
	if m.cfg.Template == "" {
		return errors.New("the VM was not booted as a template")
	}
	if m.gate.isShut() {
		return errPaused
	}
	if err := errors.Join(s.b.SaveErr, ctx.Err(), m.Pause(ctx)); err != nil {
		return err
	}
	ram := m.ram.Load()
	sum := sha256.Sum256(ram)
	text, err := json.Marshal(state{Build: s.b.Build, RAM: hex.EncodeToString(sum[:]), Shape: shape(m.cfg)})
	if err != nil {
		return err
	}
	var u undo.Stack
	defer u.Run()
	for _, f := range []struct {
		name string
		data []byte
	}{{ramFile, ram}, {stateFile, text}} {
		path := filepath.Join(m.cfg.Template, f.name)
		u.Add(func() { os.Remove(path) })
		if err := os.WriteFile(path, f.data, 0o600); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ended(); err != nil {
		return err
	}
	u.Keep()
	return nil
}

// Restore implements vmm.Snapshotter. Unlike a real monitor it refuses a cfg of
// another shape.
func (s snapshotter) Restore(ctx context.Context, dir string, cfg vmm.Config) (vmm.VM, error) {
	ram, err := s.load(dir, cfg)
	if err = errors.Join(s.b.RestoreErr, ctx.Err(), err); err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	cfg.Template = ""
	m, err := s.b.machine(cfg, ram)
	if err != nil {
		return nil, fmt.Errorf("restore: %w", err)
	}
	return m, nil
}

// load reads a template that fits cfg and is whole.
func (s snapshotter) load(dir string, cfg vmm.Config) (*RAM, error) {
	text, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err != nil {
		return nil, err
	}
	var saved state
	if err := json.Unmarshal(text, &saved); err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	ram, err := os.ReadFile(filepath.Join(dir, ramFile))
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(ram)
	want := state{Build: s.b.Build, RAM: hex.EncodeToString(sum[:]), Shape: shape(cfg)}
	if saved != want {
		return nil, fmt.Errorf("the template is of %+v, and this is %+v", saved, want)
	}
	return &RAM{restored: true, data: ram}, nil
}

// Replace implements vmm.Snapshotter. The guest's file stays the same: what is
// behind its descriptor changes.
func (s snapshotter) Replace(ctx context.Context, vm vmm.VM, serial string, file *os.File) error {
	m, ok := vm.(*machine)
	if !ok {
		return fmt.Errorf("replace disk %q: not a VM of this backend", serial)
	}
	if err := errors.Join(s.b.ReplaceErr, ctx.Err(), m.replace(serial, file)); err != nil {
		return fmt.Errorf("replace disk %q: %w", serial, err)
	}
	return nil
}

func (m *machine) replace(serial string, file *os.File) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ended(); err != nil {
		return err
	}
	if m.gate.isShut() {
		return errPaused
	}
	for _, d := range m.disks {
		if d.Serial == serial {
			return substitute(d.File, file)
		}
	}
	return errors.New("there is none")
}

var errPaused = errors.New("the VM is paused")
