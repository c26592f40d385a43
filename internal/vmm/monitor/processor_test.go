package monitor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a measurement of the moment is not part of the version, or it changes by itself.
func TestProcessorIsSteady(t *testing.T) {
	dir := t.TempDir()
	say := func(mhz, flags string) string {
		path := filepath.Join(dir, "cpuinfo")
		text := "processor\t: 0\nmodel name\t: x\ncpu MHz\t\t: " + mhz + "\nflags\t\t: " + flags + "\n\nprocessor\t: 1\n"
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := processor(path)
		if err != nil || !strings.Contains(got, "model name\t: x") {
			t.Fatalf("%q, %v", got, err)
		}
		return got
	}
	if say("1", "fpu") != say("2", "fpu") {
		t.Error("the frequency of the moment is in the version")
	}
	if say("1", "fpu") == say("1", "fpu avx") {
		t.Error("the processor's features are not in the version")
	}
}
