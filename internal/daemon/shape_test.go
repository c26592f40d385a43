package daemon

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"aegis/internal/engine"
	"aegis/internal/template"
	"aegis/internal/version"
)

// TestShapeIsOfWhatRuns holds that after an upgrade of this program, of the kernel or of
// the harness no template from before is asked for.
func TestShapeIsOfWhatRuns(t *testing.T) {
	dir := t.TempDir()
	files := engine.Files{Kernel: filepath.Join(dir, "kernel"), Initrd: filepath.Join(dir, "initrd")}
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(files.Kernel, "kernel")
	write(files.Initrd, "harness")
	a := &assets{log: slog.New(slog.DiscardHandler)}
	shape := func() template.Shape {
		t.Helper()
		s, ok := a.Shape(t.Context(), engine.Backend{Name: "qemu", Accelerator: "tcg"}, files)
		if !ok {
			t.Skip("pending: qemu does not tell its version here")
		}
		return s
	}
	first := shape()
	if again := shape(); again.Key() != first.Key() {
		t.Errorf("twice the same: %+v and %+v", first, again)
	}
	was := version.Version
	defer func() { version.Version = was }()
	for what, change := range map[string]func(){
		"this program": func() { version.Version += "-next" },
		"the kernel":   func() { write(files.Kernel, "kernel, later") },
		"the harness":  func() { write(files.Initrd, "harness, later") },
	} {
		before := shape()
		change()
		if after := shape(); after.Key() == before.Key() {
			t.Errorf("%s is another, and the template is the same: %+v", what, after)
		}
	}
}
