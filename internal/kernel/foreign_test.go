package kernel

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"aegis/internal/fault"
)

// foreign is an architecture that this machine is not of.
var foreign = map[string]string{"amd64": "arm64", "arm64": "amd64"}[runtime.GOARCH]

// aptOf puts stand-ins on PATH whose apt writes down what it is asked: its updates and
// the options it gets.
func aptOf(t *testing.T) (asked func() string) {
	t.Helper()
	files := packageFiles()
	for name, data := range files { // a release of its own, as each architecture's is
		delete(files, name)
		files[strings.ReplaceAll(name, "9.1-cloud", "9.1-cloud-"+foreign)] = data
	}
	tools(t, files)
	dir := os.Getenv("PATH")
	log := filepath.Join(t.TempDir(), "asked")
	for _, name := range []string{"apt-get", "apt-cache"} {
		path := filepath.Join(dir, name)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		script := "#!/bin/sh\necho " + name + ` "$@" >>` + log + "\n[ $1 = update ] && exit 0\n" + strings.TrimPrefix(string(text), "#!/bin/sh\n")
		if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return func() string {
		text, _ := os.ReadFile(log)
		return string(text)
	}
}

// TestAnotherArchitecturesKernel gets it by lists of its own, so that the machine's need
// not know that architecture, and has it beside the machine's.
func TestAnotherArchitecturesKernel(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kernel")
	native := ensure(t, dir)
	if _, err := Open(dir, foreign); !fault.Is(err, fault.AssetMissing) {
		t.Errorf("a kernel of another architecture is taken: %v", err)
	}
	asked := aptOf(t)
	k, err := Ensure(t.Context(), dir, foreign, nil)
	if err != nil {
		t.Fatal(err)
	}
	if k.Arch != foreign || k.Dir == native.Dir {
		t.Errorf("the kernel is of %s, in %s", k.Arch, k.Dir)
	}
	lines := strings.Split(strings.TrimSpace(asked()), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "apt-get update") {
		t.Fatalf("apt was asked\n%s", asked())
	}
	for _, line := range lines {
		for _, option := range []string{"APT::Architecture=" + foreign, "Dir::State=" + dir, "Dir::Cache=" + dir} {
			if !strings.Contains(line, "-o "+option) {
				t.Errorf("apt was asked without %s: %s", option, line)
			}
		}
	}
	for arch, want := range map[string]Kernel{runtime.GOARCH: native, foreign: k} {
		if found, err := Open(dir, arch); err != nil || found.Dir != want.Dir || found.Verify() != nil {
			t.Errorf("of %s there is %s, %v", arch, found.Dir, err)
		}
	}
	if got := Unused(dir); got != nil {
		t.Errorf("both are needed, and these are not: %q", got)
	}
}

// TestAnotherArchitectureIsUnknown names what apt's sources lack.
func TestAnotherArchitectureIsUnknown(t *testing.T) {
	aptOf(t)
	script := "#!/bin/sh\necho 'E: No packages found' >&2\nexit 100\n"
	if err := os.WriteFile(filepath.Join(os.Getenv("PATH"), "apt-cache"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := Ensure(t.Context(), t.TempDir(), foreign, nil)
	if !fault.Is(err, fault.AssetMissing) || !strings.Contains(err.Error(), "architecture "+foreign) {
		t.Errorf("the error is %v", err)
	}
}
