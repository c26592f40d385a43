package library

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestVersions(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("pending: the names are Linux's")
	}
	for name, want := range map[string]string{
		"libkrun.so.1.19.7": "", "libkrun.so.1.19.4": "", "libkrun.so.1.20.0": "",
		"libkrun.so.1.19.3": "too old", "libkrun.so.1.9.9": "too old", "libkrun.so.0.20.0": "too old",
		"libkrun.so.2.0.0": "not known", "libkrun.so.1": "tells no version", "libkrun.so": "tells no version",
	} {
		_, err := parseVersion(name)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWhatIsMissing says the library's name, and where it was looked for.
func TestWhatIsMissing(t *testing.T) {
	dir := t.TempDir()
	if _, err := Find([]string{dir}); err == nil || !strings.Contains(err.Error(), names.libkrun+" is in none of "+dir) {
		t.Errorf("with nothing there: %v", err)
	}
	for _, name := range []string{names.libkrun, names.libkrunfw} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("no library"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Find([]string{dir}); err == nil {
		t.Error("files that are no libraries are taken")
	}
}
