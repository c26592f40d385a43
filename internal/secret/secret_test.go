package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"aegis/internal/fault"
	"aegis/internal/paths"
)

// open gives a box without a keyring, in a home of its own.
func open(t testing.TB) *Box {
	t.Helper()
	return reopen(t, paths.Home{Dir: t.TempDir()}, noRing)
}

func reopen(t testing.TB, home paths.Home, ring keyring) *Box {
	t.Helper()
	b, err := Open(home)
	if err != nil {
		t.Fatal(err)
	}
	b.ring = ring
	return b
}

func set(t testing.TB, b *Box, name, value string) {
	t.Helper()
	if err := b.Set(name, []byte(value)); err != nil {
		t.Fatal(err)
	}
}

func want(t testing.TB, b *Box, name, value string) {
	t.Helper()
	got, err := b.Get(name)
	if err != nil || string(got[name]) != value {
		t.Fatalf("%s is %q, %v, want %q", name, got[name], err, value)
	}
}

func TestSetGetDelete(t *testing.T) {
	b := open(t)
	set(t, b, "API_KEY", "one")
	set(t, b, "api_key", "other case")
	set(t, b, "EMPTY", "")
	set(t, b, "API_KEY", "two")
	b = reopen(t, b.home, noRing)
	want(t, b, "API_KEY", "two")
	want(t, b, "api_key", "other case")
	want(t, b, "EMPTY", "")
	if err := b.Delete("API_KEY"); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{b.Delete("API_KEY"), second(b.Get("API_KEY"))} {
		if !fault.Is(err, fault.SecretMissing) {
			t.Errorf("of a deleted secret: %v", err)
		}
	}
	if got, err := b.Get(); err != nil || len(got) != 0 {
		t.Error(got, err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestAnyValue(t *testing.T) {
	b := open(t)
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[A-Za-z_][A-Za-z0-9_]{0,127}`).Draw(t, "name")
		value := rapid.SliceOf(rapid.ByteRange(1, 255)).Draw(t, "value")
		if err := b.Set(name, value); err != nil {
			t.Fatal(err)
		}
		got, err := b.Get(name)
		if err != nil || !bytes.Equal(got[name], value) {
			t.Fatalf("%q, %v", got[name], err)
		}
	})
}

func TestMissingNamesAll(t *testing.T) {
	b := open(t)
	set(t, b, "HERE", "x")
	_, err := b.Get("B_GONE", "HERE", "A_GONE", "A_GONE")
	if e := fault.As(err); e.Kind != fault.SecretMissing || e.Subject != "A_GONE" || !strings.Contains(e.Why, "A_GONE, B_GONE") {
		t.Errorf("%+v", e)
	}
}

func TestRefusals(t *testing.T) {
	b := open(t)
	for name, value := range map[string]string{
		"": "x", "1A": "x", "A-B": "x", "../A": "x", "A\n": "x", "É": "x", strings.Repeat("A", 129): "x",
		"NUL": "hush\x00hush", "LONG": strings.Repeat("hush", MaxValue/4+1),
	} {
		err := b.Set(name, []byte(value))
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", name, err)
		}
		if strings.Contains(fmt.Sprintf("%+v", fault.As(err)), "hush") {
			t.Errorf("the error has the value: %v", err)
		}
	}
	for _, err := range []error{second(b.Get("../A")), b.Delete("../A")} {
		if !fault.Is(err, fault.Invalid) {
			t.Error(err)
		}
	}
	if list, err := b.List(); err != nil || len(list) != 0 {
		t.Error(list, err)
	}
	set(t, b, strings.Repeat("a", 128), strings.Repeat("x", MaxValue))
}

func TestRenamedFileDoesNotOpen(t *testing.T) {
	b := open(t)
	set(t, b, "SAFE", "x")
	set(t, b, "API_KEY", "y")
	if err := os.Rename(b.home.Secret("SAFE"), b.home.Secret("API_KEY")); err != nil {
		t.Fatal(err)
	}
	if got, err := b.Get("API_KEY"); !fault.Is(err, fault.SecretMissing) {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestAlteredFileDoesNotOpen flips a bit of each byte and cuts off each tail.
func TestAlteredFileDoesNotOpen(t *testing.T) {
	b := open(t)
	set(t, b, "A", "value")
	file := b.home.Secret("A")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		flipped := bytes.Clone(whole)
		flipped[i] ^= 1
		for _, bad := range [][]byte{flipped, whole[:i], append(bytes.Clone(whole), 0)} {
			if got, err := b.key.open("A", bad); err == nil {
				t.Fatalf("altered at %d it opens as %q", i, got)
			}
		}
	}
	if err := os.WriteFile(file, whole[:len(whole)-1], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := second(b.Get("A")); !fault.Is(err, fault.SecretMissing) {
		t.Error(err)
	}
}

func TestListAndVersions(t *testing.T) {
	b := open(t)
	set(t, b, "B", "same")
	set(t, b, "A", "same")
	os.WriteFile(filepath.Join(b.home.Secrets(), "notes.txt"), nil, 0o600)
	first, err := b.List()
	if err != nil || len(first) != 2 || first[0].Name != "A" || first[1].Name != "B" || first[0].UpdatedAt.IsZero() {
		t.Fatal(first, err)
	}
	if first[0].Version == first[1].Version || first[0].Version == "" {
		t.Error("equal values have equal versions")
	}
	set(t, b, "A", "same")
	then, err := reopen(t, b.home, noRing).Versions()
	if err != nil || then["A"] == first[0].Version || then["B"] != first[1].Version {
		t.Error(then, err)
	}
}

// TestBytesAreNowhere searches the home for the value in every plain form, and
// checks the mode of what it finds on the way.
func TestBytesAreNowhere(t *testing.T) {
	b := open(t)
	value := []byte("hunter2-" + strings.Repeat("s3cr3t!", 5))
	if err := b.Set("API_KEY", value); err != nil {
		t.Fatal(err)
	}
	want(t, b, "API_KEY", string(value))
	forms := [][]byte{value, []byte(hex.EncodeToString(value)), slices.Clone(value)}
	slices.Reverse(forms[2])
	for shift := range 3 { // base64 of a longer text that has the value in it
		forms = append(forms, []byte(base64.RawStdEncoding.EncodeToString(value[shift:len(value)-len(value)%3-3+shift])))
	}
	files := 0
	err := filepath.WalkDir(b.home.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		data, err := os.ReadFile(path)
		for _, form := range forms {
			if bytes.Contains(data, form) {
				t.Errorf("%s has the value, as %q", path, form)
			}
		}
		if info, err := d.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
		return err
	})
	if err != nil || files != 2 {
		t.Errorf("%d files, %v", files, err)
	}
}

func TestOpenRemovesUnfinishedFiles(t *testing.T) {
	b := open(t)
	set(t, b, "A", "x")
	left := strings.Replace(b.home.Unfinished(), "*", "123", 1)
	if err := os.WriteFile(left, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	want(t, reopen(t, b.home, noRing), "A", "x")
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Error("it is still there", err)
	}
}

// TestReadersSeeWholeValues sets a secret again and again while others read it.
func TestReadersSeeWholeValues(t *testing.T) {
	b := open(t)
	values := []string{strings.Repeat("a", 20_000), strings.Repeat("b", 100)}
	set(t, b, "A", values[0])
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for range 30 {
				got, err := b.Get("A")
				if err != nil || !slices.Contains(values, string(got["A"])) {
					t.Errorf("%d bytes, %v", len(got["A"]), err)
				}
			}
		})
	}
	for i := range 20 {
		set(t, b, "A", values[i%2])
	}
	wg.Wait()
}
