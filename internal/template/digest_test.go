package template

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"aegis/internal/paths"
)

// TestDigestFindsWhatTracesCannot compares digests where the kernel says nothing: a
// disk that has lost pages.
func TestDigestFindsWhatTracesCannot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory")
	if err := os.WriteFile(path, bytes.Repeat([]byte{7}, wholeMost+1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := sealFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, make([]byte, wholeMost+1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if f.Trace, err = look(path); err != nil {
		t.Fatal(err)
	}
	dir := paths.Template{Dir: filepath.Dir(path)}
	if f.check(dir, false) != nil || f.check(dir, true) == nil {
		t.Error("other bytes are not found by the digest alone")
	}
}

func TestDigestsAreRemembered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	var d Digests
	sums := map[string]bool{}
	for _, text := range []string{"one", "two", "three"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		a, err := d.Of(path)
		if err != nil {
			t.Fatal(err)
		}
		known := d.seen[path]
		known.sum = "remembered"
		d.seen[path] = known
		b, _ := d.Of(path)
		if b != "remembered" || sums[a] {
			t.Errorf("%s: %s, then %s", text, a, b)
		}
		sums[a] = true
	}
	if _, err := d.Of(path + "x"); err == nil {
		t.Error("the digest of nothing")
	}
}
