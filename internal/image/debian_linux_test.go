package image

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aegis/internal/fault"
)

func TestHowSaysWhatIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, _, err := how(0, "/stage")
	wantKind(t, err, fault.AssetMissing)
	if err == nil || !strings.Contains(err.Error(), "apt-get install mmdebstrap") {
		t.Errorf("got %v", err)
	}
	program := filepath.Join(os.Getenv("PATH"), "mmdebstrap")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if mode, tmp, err := how(0, "/stage"); mode != "root" || tmp != "/stage" || err != nil {
		t.Errorf("as root: %s %s %v", mode, tmp, err)
	}
	if _, _, err := how(1000, "/stage"); err == nil || !strings.Contains(err.Error(), "apt-get install uidmap") {
		t.Errorf("without newuidmap: %v", err)
	}
}

func TestSubordinate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "subuid")
	for text, ok := range map[string]bool{
		"":                                 false,
		"4242:100000:65536\n":              true,
		"x:1:1\n4242:100000:65536\n":       true,
		"4242:100000:1000\n":               false,
		"4242:100000\n":                    false,
		"42:100000:65536\n":                false,
		"4242:100000:many\n4242:1:65536\n": true,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := subordinate(path, 4242); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := subordinate(path+"-missing", 4242); err == nil || !strings.Contains(err.Error(), "usermod --add-subuids") {
		t.Errorf("got %v", err)
	}
}

func TestFollowKeepsTheErrors(t *testing.T) {
	var said []string
	last := follow(strings.NewReader("I: extracting archives...\nI: using /tmp/x as tempdir\nE: no space\n"+strings.Repeat("noise\n", 100)), func(msg string) { said = append(said, msg) })
	if !slices.Equal(said, []string{"extracting archives"}) || !slices.Equal(last, []string{"no space"}) {
		t.Errorf("said %q, kept %q", said, last)
	}
	if last := follow(strings.NewReader(strings.Repeat("noise\n", 100)+strings.Repeat("x", 1<<20)), func(string) {}); len(last) > maxSaid {
		t.Errorf("kept %d lines", len(last))
	}
}

func TestRecipe(t *testing.T) {
	changed := defaultRecipe
	changed.Packages = append(slices.Clone(changed.Packages), "nano")
	if changed.id() == defaultRecipe.id() {
		t.Error("the id does not follow the content")
	}
	args := defaultRecipe.args("root")
	if n := len(args); args[n-2] != "bookworm" || args[n-1] != "-" {
		t.Errorf("a mirror is named: %q", args[n-2:])
	}
	getenv := func(key string) string { return map[string]string{"API_KEY": "secret", "PATH": "/bin"}[key] }
	if env := strings.Join(defaultRecipe.env(getenv, "/tmp"), " "); strings.Contains(env, "secret") || !strings.Contains(env, "TMPDIR=/tmp ") {
		t.Errorf("environment %q", env)
	}
}

// fake puts a script in mmdebstrap's place.
func fake(t *testing.T, text string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("pending: an ordinary user needs subordinate IDs for this")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "mmdebstrap"), []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func silent(string, int64, int64) {}

func TestDebianConvertsWhatIsPrinted(t *testing.T) {
	stream := filepath.Join(t.TempDir(), "tar")
	if err := os.WriteFile(stream, tree(t), 0o600); err != nil {
		t.Fatal(err)
	}
	fake(t, "echo I: creating tarball... >&2; cat "+stream)
	var said []string
	work := t.TempDir()
	err := defaultRecipe.debian(t.Context(), work, func(msg string, _, _ int64) { said = append(said, msg) })
	if err != nil || !slices.Equal(said, []string{"creating tarball"}) {
		t.Errorf("%v, said %q", err, said)
	}
	if info, err := os.Stat(filepath.Join(work, fileRoot)); err != nil || info.Size() < 1<<20 {
		t.Errorf("%v %v", info, err)
	}
}

func TestDebianFails(t *testing.T) {
	stream := filepath.Join(t.TempDir(), "tar")
	if err := os.WriteFile(stream, tree(t), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"before the stream": "echo E: the mirror is down >&2; exit 1",
		"after the stream":  "cat " + stream + "; echo E: the mirror is down >&2; exit 1",
	} {
		t.Run(name, func(t *testing.T) {
			fake(t, text)
			err := defaultRecipe.debian(t.Context(), t.TempDir(), silent)
			if err == nil || !strings.Contains(err.Error(), "the mirror is down") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestDebianEndsWithItsContext(t *testing.T) {
	fake(t, "trap 'exit 1' TERM; echo I: waiting... >&2; while :; do sleep 0.05; done")
	ctx, cancel := context.WithCancel(t.Context())
	began := time.Now()
	err := defaultRecipe.debian(ctx, t.TempDir(), func(string, int64, int64) { cancel() })
	if !errors.Is(err, context.Canceled) || time.Since(began) > grace {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}
