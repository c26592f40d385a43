//go:build linux

package harness

import (
	"os"
	"path/filepath"
	"testing"
)

// TestAccountsWithoutFiles is of an image that has neither.
func TestAccountsWithoutFiles(t *testing.T) {
	a := accounts{settle: settleTime}
	for range 2 {
		if who, err := a.find("", "/nonexistent/passwd", "/nonexistent/group"); err != nil || who.uid != 0 {
			t.Errorf("%+v, %v", who, err)
		}
	}
}

// TestAccountsAreRemembered reads the files again when they have changed, and not before.
func TestAccountsAreRemembered(t *testing.T) {
	passwd, group := write(t, "passwd", "ann:x:1:1::/a:\n"), write(t, "group", "")
	find := func(a *accounts, want uint32) {
		t.Helper()
		if who, err := a.find("ann", passwd, group); err != nil || who.uid != want {
			t.Errorf("%+v, %v; want user %d", who, err, want)
		}
	}
	a := accounts{settle: settleTime}
	find(&a, 1)
	if len(a.known) != 0 {
		t.Error("what was read of a file that has just changed is kept: its next change might not show")
	}
	a.settle = -1 // as if they were old
	find(&a, 1)
	a.known["ann"] = account{uid: 7} // to see where an answer comes from
	find(&a, 7)
	if err := os.WriteFile(passwd, []byte("ann:x:22:22::/a:\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	find(&a, 22)
	other := filepath.Join(t.TempDir(), "group")
	a.known["ann"] = account{uid: 7}
	if err := os.WriteFile(other, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(other, group); err != nil { // the same bytes in another file
		t.Fatal(err)
	}
	find(&a, 22)
	for i := range 3 * maxKnown {
		a.find(string(rune('0'+i%10))+string(rune('0'+i/10)), passwd, group)
	}
	if len(a.known) > maxKnown {
		t.Errorf("%d accounts are remembered", len(a.known))
	}
	if _, err := a.find("nobody", passwd, group); err == nil {
		t.Error("a user that is not there is found")
	}
}
