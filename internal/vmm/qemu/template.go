package qemu

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"aegis/internal/vmm"
)

// The files of a template, in its directory.
const (
	ramFile      = "ram"       // the guest's memory, mapped by every clone
	stateFile    = "state"     // the devices, as QEMU's migration writes them
	manifestFile = "qemu.json" // a manifest; written last, so that it makes the template
)

// manifest is what Restore checks. The memory is too large to be read each time, so
// its size and time stand for it.
type manifest struct {
	Format   int    `json:"format"`
	RAM      int64  `json:"ram"`       // bytes
	RAMTime  int64  `json:"ram_time"`  // of its last change, nanoseconds since 1970
	State    int64  `json:"state"`     // bytes
	StateSum string `json:"state_sum"` // SHA-256, hexadecimal
	TSC      int    `json:"tsc"`       // kHz; the guest counts time by it. 0: it does not
	Major    int    `json:"major"`     // of QEMU's version
}

// format is the manifest's and the command line's: a template of another is useless.
const format = 2

// maxState bounds the devices' state in bytes. It is about 0.3 MiB.
const maxState = 64 << 20

// template is one that is being restored. Its files are open.
type template struct {
	ram, state *os.File
	manifest   manifest
}

// openTemplate opens what Save wrote and checks what can be checked at once. The
// state's bytes and the clock are for verify.
func openTemplate(dir string, memory int64) (*template, error) {
	t := &template{}
	err := t.open(dir, memory)
	if err != nil {
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
	if err := json.Unmarshal(text, &t.manifest); err != nil {
		return fmt.Errorf("read %s: %w", manifestFile, err)
	}
	if t.ram, err = os.Open(filepath.Join(dir, ramFile)); err != nil {
		return err
	}
	if t.state, err = os.Open(filepath.Join(dir, stateFile)); err != nil {
		return err
	}
	ram, err := t.ram.Stat()
	if err != nil {
		return err
	}
	state, err := t.state.Stat()
	if err != nil {
		return err
	}
	switch m := t.manifest; {
	case m.Format != format:
		return fmt.Errorf("its format is %d, not %d", m.Format, format)
	case ram.Size() != m.RAM || ram.ModTime().UnixNano() != m.RAMTime || state.Size() != m.State:
		return errors.New("its files have changed")
	case m.RAM != memory:
		return fmt.Errorf("its guest has %d bytes of memory, not %d", m.RAM, memory)
	}
	return nil
}

// verify reads the state and measures the clock: some milliseconds, in which the
// monitor may start.
func (t *template) verify(clock func() int) error {
	if sum, err := digest(t.state); err != nil || sum != t.manifest.StateSum {
		return fmt.Errorf("%w: %s has changed (%v)", vmm.ErrTemplate, stateFile, err)
	}
	if now := clock(); !sameClock(now, t.manifest.TSC) {
		return fmt.Errorf("%w: its guest counts at %d kHz, and this host at %d", vmm.ErrTemplate, t.manifest.TSC, now)
	}
	return nil
}

// sameClock allows for the error of two measurements and for a host's clock that is
// being adjusted (500 ppm at most, adjtimex(2)).
func sameClock(a, b int) bool {
	const slack = 1000 // one part in that
	return max(a, b)-min(a, b) <= max(a, b)/slack
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

func (t *template) close() {
	t.ram.Close() // nothing, where it is nil
	t.state.Close()
}
