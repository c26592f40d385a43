package qemu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"aegis/internal/durable"
	"aegis/internal/undo"
	"aegis/internal/vmm"

	"github.com/google/renameio/v2"
)

// Save implements vmm.Snapshotter.
func (s snapshotter) Save(ctx context.Context, vm vmm.VM) error {
	defer vm.Close()
	m, ok := vm.(*machine)
	if !ok {
		return errors.New("save with qemu: the VM is not this backend's")
	}
	if err := m.save(ctx); err != nil {
		return fmt.Errorf("save with qemu: %w", err)
	}
	return nil
}

// save writes state and manifest beside the memory, or empties the directory.
func (m *machine) save(ctx context.Context) error {
	if m.template == "" {
		return errors.New("the VM was not booted as a template")
	}
	var u undo.Stack
	defer u.Run()
	for _, name := range []string{ramFile, stateFile, manifestFile} {
		u.Add(func() { os.Remove(filepath.Join(m.template, name)) })
	}
	if err := m.Running(); err != nil {
		return err
	}
	state, err := os.OpenFile(filepath.Join(m.template, stateFile), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer state.Close()
	if err := m.unload(ctx, state); err != nil {
		return m.lastWords(err)
	}
	m.Close() // before the memory's time is read: nothing writes to it any more
	made, err := m.describe(state)
	if err != nil {
		return err
	}
	if err := m.publish(made); err != nil {
		return err
	}
	u.Keep()
	return nil
}

// unload stops the guest, has the monitor write the devices' state, and ends it.
func (m *machine) unload(ctx context.Context, state *os.File) error {
	err := m.control.run(ctx, state, command{Execute: "getfd", Arguments: args{"fdname": "state"}},
		command{Execute: "stop"}, useTemplates(),
		command{Execute: "migrate", Arguments: args{"uri": "fd:state"}})
	if err != nil {
		return err
	}
	if err := m.migrated(ctx); err != nil {
		return err
	}
	m.Expect()
	if _, err := m.control.send(nil, command{Execute: "quit"}); err != nil {
		return err
	}
	select { // it closes the state, and ends
	case <-m.Process.Exited:
	case <-ctx.Done():
		return ctx.Err()
	}
	if !m.Process.State.Success() {
		return errors.New("the monitor failed")
	}
	return nil
}

// describe makes what was written lasting and says what it is.
func (m *machine) describe(state *os.File) (manifest, error) {
	ram, err := os.Open(filepath.Join(m.template, ramFile))
	if err != nil {
		return manifest{}, err
	}
	defer ram.Close()
	if err := errors.Join(ram.Sync(), state.Sync()); err != nil {
		return manifest{}, err
	}
	ramInfo, err := ram.Stat()
	if err != nil {
		return manifest{}, err
	}
	stateInfo, err := state.Stat()
	if err != nil {
		return manifest{}, err
	}
	if stateInfo.Size() == 0 || stateInfo.Size() > maxState {
		return manifest{}, fmt.Errorf("the state has %d bytes", stateInfo.Size())
	}
	sum, err := digest(state)
	return manifest{Format: format, RAM: ramInfo.Size(), RAMTime: ramInfo.ModTime().UnixNano(),
		State: stateInfo.Size(), StateSum: sum, TSC: m.tscKHz, Major: m.major}, err
}

// publish writes the manifest, at once or not at all.
func (m *machine) publish(made manifest) error {
	text, err := json.Marshal(made)
	if err != nil {
		return err
	}
	if err := renameio.WriteFile(filepath.Join(m.template, manifestFile), text, 0o600, renameio.WithTempDir(m.template)); err != nil {
		return err
	}
	return durable.Sync(m.template)
}
