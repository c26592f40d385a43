package instance

import (
	"regexp"
	"strings"
	"testing"

	"aegis/internal/fault"
)

func TestIDs(t *testing.T) {
	for prefix, make := range map[string]func() string{"inst-": NewID, "run-": NewRunID, "exec-": NewExecID} {
		form := regexp.MustCompile(`^` + prefix + `[a-z2-7]{12}$`)
		seen := map[string]bool{}
		last := map[byte]bool{}
		for range 2000 {
			id := make()
			if !form.MatchString(id) || seen[id] {
				t.Fatalf("%q, seen %v", id, seen[id])
			}
			seen[id] = true
			last[id[len(id)-1]] = true
		}
		if len(last) != 32 { // each character is random, the last one too
			t.Errorf("%s: the last character takes %d values", prefix, len(last))
		}
	}
}

func TestCheckName(t *testing.T) {
	for _, name := range []string{"a", "0", "web", "a-", "a--b", "inst", strings.Repeat("x", 63)} {
		if err := CheckName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", "-a", "A", "a_b", "a.b", "a b", "a\n", "é", strings.Repeat("x", 64), "inst-", "inst-x"} {
		err := CheckName(name)
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", name, err)
		}
	}
	long := CheckName(strings.Repeat("é", 1<<20))
	if len(long.Error()) > 1000 {
		t.Errorf("the refusal of a long name has %d bytes", len(long.Error()))
	}
}

func TestGeneratedNamesAreNames(t *testing.T) {
	for _, a := range adjectives {
		for _, n := range nouns {
			if name := a + "-" + n; CheckName(name) != nil {
				t.Errorf("%q", name)
			}
		}
	}
	seen := map[string]bool{}
	for range 100 {
		name := NewName()
		if CheckName(name) != nil || strings.Count(name, "-") != 1 {
			t.Errorf("%q", name)
		}
		seen[name] = true
	}
	if len(seen) < 50 {
		t.Errorf("100 names are only %d different ones", len(seen))
	}
}

func TestIsIDPrefix(t *testing.T) {
	for ref, want := range map[string]bool{"inst-a": true, NewID(): true, "inst-": false, "inst": false, "web": false, "": false} {
		if IsIDPrefix(ref) != want {
			t.Errorf("%q: %v", ref, !want)
		}
	}
}
