package vmmtest

import (
	"encoding/hex"
	"os"
	"strconv"
	"strings"
	"time"

	"aegis/internal/vmm"
)

// replaces puts two files in turn behind a disk that began without one. What the
// guest writes is in the file of the day and in no other.
func replaces(s *suite, tmpl *template) {
	vm, c := s.mustRestore(tmpl)
	if got := c.ask("read disk"); strings.Trim(got, "0") != "" {
		s.Errorf("a disk without a file reads %q", got)
	}
	first, second := s.diskOf("first", 1<<20), s.diskOf("second", 3<<20)
	s.replaced(vm, tmpl, c, first, 1<<20, "first")
	s.replaced(vm, tmpl, c, second, 3<<20, "second")
	s.replaced(vm, tmpl, c, first, 1<<20, "FIRST") // as the guest left it
	for path, want := range map[string]string{first: "FIRST", second: "SECOND"} {
		if data, err := os.ReadFile(path); err != nil || !strings.HasPrefix(string(data), want) {
			s.Errorf("%s holds %.10q (%v), not %q", path, data, err, want)
		}
	}
	s.unreplaced(vm, tmpl, first)
}

// replaced puts a file behind the disk, and has the guest read and overwrite it.
func (s *suite) replaced(vm vmm.VM, tmpl *template, c *control, path string, size int64, text string) {
	s.Helper()
	f := s.open(path, os.O_RDWR)
	err := tmpl.snaps.Replace(s.Context(), vm.(*booted).VM, "disk", f)
	f.Close()
	if err != nil {
		s.Fatal(err)
	}
	// The guest's kernel hears of another size by an interrupt: a moment later.
	want, got := strconv.FormatInt(size, 10), c.ask("drop disk")
	for end := time.Now().Add(5 * time.Second); got != want && time.Now().Before(end); got = c.ask("drop disk") {
		time.Sleep(time.Millisecond)
	}
	if s.backend.Caps().Accelerator != "none" && got != want {
		s.Errorf("the disk's size is %s, not %d", got, size)
	}
	if got := c.ask("read disk"); !strings.HasPrefix(got, hex.EncodeToString([]byte(text))) {
		s.Errorf("the disk holds %s, not %q", got, text)
	}
	c.send("write disk %s", strings.ToUpper(text))
	c.expect("ok")
}

// unreplaced is what Replace refuses.
func (s *suite) unreplaced(vm *booted, tmpl *template, path string) {
	s.Helper()
	f := s.open(path, os.O_RDWR)
	defer f.Close()
	if tmpl.snaps.Replace(s.Context(), vm.VM, "none", f) == nil {
		s.Error("a disk that there is not can be replaced")
	}
	if err := vm.Pause(s.Context()); err != nil {
		s.Fatal(err)
	}
	if tmpl.snaps.Replace(s.Context(), vm.VM, "disk", f) == nil {
		s.Error("the disk of a paused VM is replaced")
	}
	s.closed(vm.VM)
	if tmpl.snaps.Replace(s.Context(), vm.VM, "disk", f) == nil {
		s.Error("the disk of a closed VM is replaced")
	}
}
