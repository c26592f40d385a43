package internal_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// loader is the library by which a program of ours loads shared ones, and is then linked
// with the C library.
const loader = "github.com/ebitengine/purego"

// TestStaticPrograms holds that one program loads libraries, which is a process of one VM
// and confined before it does, and that all others are static.
func TestStaticPrograms(t *testing.T) {
	commands, err := os.ReadDir(root + "/cmd")
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range commands {
		cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "./cmd/"+command.Name())
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0")
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		loads := slices.Contains(strings.Fields(string(out)), loader)
		if loads != (command.Name() == "aegis-krun") {
			t.Errorf("%s loads libraries: %v", command.Name(), loads)
		}
	}
}
