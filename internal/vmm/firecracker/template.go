package firecracker

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"aegis/internal/durable"
	"aegis/internal/undo"
	"aegis/internal/vmm"
)

// The files of a template, in its directory.
const (
	ramFile      = "ram"              // the guest's memory, mapped by every clone
	stateFile    = "state"            // everything else
	manifestFile = "firecracker.json" // a manifest; written last, so that it makes the template
)

// manifest is what Restore checks. The memory is too large to be read each time, so
// its size and time stand for it.
type manifest struct {
	Format   int    `json:"format"`
	RAM      int64  `json:"ram"`       // bytes
	RAMTime  int64  `json:"ram_time"`  // of its last change, nanoseconds since 1970
	State    int64  `json:"state"`     // bytes
	StateSum string `json:"state_sum"` // SHA-256, hexadecimal
}

// format is that of the manifest, and of the names of files in the state.
const format = 1

// maxState bounds the state in bytes. It is about 40 KB.
const maxState = 16 << 20

// makeTemplate makes the files that a VM will be saved to. They are closed by files, and
// gone unless u is kept.
func makeTemplate(dir string, u, files *undo.Stack) (ram, state *os.File, err error) {
	for name, f := range map[string]**os.File{ramFile: &ram, stateFile: &state} {
		path := filepath.Join(dir, name)
		if *f, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			return nil, nil, fmt.Errorf("make the template: %w", err)
		}
		u.Add(func() { os.Remove(path) })
		files.Add(func() { (*f).Close() })
	}
	return ram, state, nil
}

// snapshotType is how memory is written: all of it, which first fills all of it, or only
// what is there. The latter is not true of memory that was swapped out.
func snapshotType() string {
	swaps, err := os.ReadFile("/proc/swaps")
	if err != nil || bytes.Count(swaps, []byte("\n")) > 1 { // the first line is a heading
		return "Full"
	}
	return "Diff"
}

// describe makes what was written lasting and says what it is.
func describe(dir string, memory int64) (manifest, error) {
	made := manifest{Format: format}
	ram, err := os.Open(filepath.Join(dir, ramFile))
	if err != nil {
		return made, err
	}
	defer ram.Close()
	state, err := os.Open(filepath.Join(dir, stateFile))
	if err != nil {
		return made, err
	}
	defer state.Close()
	if err := errors.Join(ram.Sync(), state.Sync()); err != nil {
		return made, err
	}
	if made.RAM, made.RAMTime, err = shape(ram); err != nil {
		return made, err
	}
	if made.State, _, err = shape(state); err != nil {
		return made, err
	}
	if made.State == 0 || made.State > maxState || made.RAM != memory {
		return made, fmt.Errorf("the state has %d bytes, and the memory %d", made.State, made.RAM)
	}
	made.StateSum, err = digest(state)
	return made, err
}

// shape is a file's size in bytes and the time of its last change.
func shape(f *os.File) (size, changed int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	return info.Size(), info.ModTime().UnixNano(), nil
}

// digest is the SHA-256 of a file, read without moving its offset, which a monitor
// may share.
func digest(f *os.File) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(f, 0, maxState)); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// publish writes the manifest, at once or not at all.
func (m manifest) publish(dir string) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	var u undo.Stack
	defer u.Run()
	f, err := os.CreateTemp(dir, manifestFile)
	if err != nil {
		return err
	}
	u.Add(func() { os.Remove(f.Name()) })
	defer f.Close()
	if _, err := f.Write(text); err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), os.Rename(f.Name(), filepath.Join(dir, manifestFile)), durable.Sync(dir)); err != nil {
		return err
	}
	u.Keep()
	return nil
}

// template is one that is being restored. Its files are open.
type template struct{ ram, state *os.File }

// openTemplate opens what Save wrote and checks it. It reads all of the state.
func openTemplate(dir string, memory int64) (*template, error) {
	t := &template{}
	if err := t.open(dir, memory); err != nil {
		t.close()
		return nil, fmt.Errorf("%w: %w", vmm.ErrTemplate, err)
	}
	return t, nil
}

func (t *template) open(dir string, memory int64) error {
	text, err := os.ReadFile(filepath.Join(dir, manifestFile))
	if err != nil {
		return err
	}
	var m manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return fmt.Errorf("read %s: %w", manifestFile, err)
	}
	if t.ram, err = os.Open(filepath.Join(dir, ramFile)); err != nil {
		return err
	}
	if t.state, err = os.Open(filepath.Join(dir, stateFile)); err != nil {
		return err
	}
	ram, changed, err := shape(t.ram)
	if err != nil {
		return err
	}
	state, _, err := shape(t.state)
	if err != nil {
		return err
	}
	sum, err := digest(t.state)
	switch {
	case err != nil:
		return err
	case m.Format != format:
		return fmt.Errorf("its format is %d, not %d", m.Format, format)
	case ram != m.RAM || changed != m.RAMTime || state != m.State || sum != m.StateSum:
		return errors.New("its files have changed")
	case m.RAM != memory:
		return fmt.Errorf("its guest has %d bytes of memory, not %d", m.RAM, memory)
	}
	return nil
}

func (t *template) close() {
	t.ram.Close() // nothing, where it is nil
	t.state.Close()
}
