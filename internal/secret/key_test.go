package secret

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gokeyring "github.com/zalando/go-keyring"

	"aegis/internal/fault"
	"aegis/internal/paths"
)

// failing is a keyring that answers everything with err.
func failing(err error) keyring {
	return keyring{
		get: func(string) (string, error) { return "", err },
		set: func(string, string) error { return err },
	}
}

var noRing = failing(errNoKeyring)

// memory is a keyring that works.
func memory() keyring {
	entries := map[string]string{}
	return keyring{
		get: func(home string) (string, error) {
			if text, ok := entries[home]; ok {
				return text, nil
			}
			return "", errNoEntry
		},
		set: func(home, text string) error { entries[home] = text; return nil },
	}
}

func TestKeyInTheKeyring(t *testing.T) {
	ring := memory()
	b := reopen(t, paths.Home{Dir: t.TempDir()}, ring)
	set(t, b, "A", "x")
	if _, err := os.Stat(b.home.SecretKey()); !os.IsNotExist(err) {
		t.Error("there is a key file beside the keyring", err)
	}
	want(t, reopen(t, b.home, ring), "A", "x")

	other := reopen(t, paths.Home{Dir: t.TempDir()}, ring)
	set(t, other, "A", "y")
	if other.key.identity.String() == b.key.identity.String() {
		t.Error("two homes have one key")
	}

	// The keyring is locked today: no second key, and no answer.
	locked := reopen(t, b.home, failing(errSilent))
	for _, err := range []error{second(locked.Get("A")), locked.Set("B", []byte("y"))} {
		if !fault.Is(err, fault.Internal) || !errors.Is(err, errSilent) {
			t.Error(err)
		}
	}
	locked.ring = ring // and unlocked a moment later
	want(t, locked, "A", "x")

	lost := reopen(t, b.home, memory())
	for _, err := range []error{second(lost.Get("A")), lost.Set("B", []byte("y"))} {
		if !fault.Is(err, fault.Internal) || !strings.Contains(err.Error(), "neither") {
			t.Error(err)
		}
	}
}

// TestKeyFile holds that a key in the file stays the key when a keyring appears,
// and that a keyring which can't keep one is not used.
func TestKeyFile(t *testing.T) {
	full := memory()
	full.set = func(string, string) error { return nil } // it says so
	for name, ring := range map[string]keyring{"none": noRing, "silent": failing(errSilent), "forgetful": full} {
		b := reopen(t, paths.Home{Dir: t.TempDir()}, ring)
		set(t, b, "A", "x")
		if info, err := os.Stat(b.home.SecretKey()); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v", name, err)
		}
		b = reopen(t, b.home, memory())
		want(t, b, "A", "x")
		set(t, b, "B", "y")
		want(t, reopen(t, b.home, noRing), "B", "y")
	}
}

func TestKeyFileMustBePrivate(t *testing.T) {
	b := open(t)
	set(t, b, "A", "x")
	if err := os.Chmod(b.home.SecretKey(), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := second(reopen(t, b.home, noRing).Get("A")); !fault.Is(err, fault.Internal) || !strings.Contains(err.Error(), "0640") {
		t.Error(err)
	}
}

func TestDamagedKeyIsNotShown(t *testing.T) {
	b := open(t)
	set(t, b, "A", "x")
	if err := os.WriteFile(b.home.SecretKey(), []byte("AGE-SECRET-KEY-1DAMAGED"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := second(reopen(t, b.home, noRing).Get("A"))
	if err == nil || strings.Contains(err.Error(), "DAMAGED") {
		t.Error(err)
	}
}

func TestReachable(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		env  map[string]string
		bus  bool
		want bool
	}{
		{map[string]string{}, false, false},
		{map[string]string{"XDG_RUNTIME_DIR": dir}, false, false},
		{map[string]string{"XDG_RUNTIME_DIR": dir}, true, true},
		{map[string]string{"DBUS_SESSION_BUS_ADDRESS": "unix:path=/x"}, false, true},
	} {
		os.Remove(filepath.Join(dir, "bus"))
		if c.bus {
			os.WriteFile(filepath.Join(dir, "bus"), nil, 0o600)
		}
		if got := reachable(func(name string) string { return c.env[name] }); got != c.want {
			t.Errorf("%v, bus %v: %v", c.env, c.bus, got)
		}
	}
}

func TestSilentKeyringIsBounded(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent")
	synctest.Test(t, func(t *testing.T) {
		answered := make(chan struct{})
		began := time.Now()
		_, err := bounded(func() (string, error) { <-answered; return "", nil })
		if !errors.Is(err, errSilent) || time.Since(began) != keyringWait {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		close(answered)
	})
}

// TestSystemKeyring talks to the library's own stand-in for a keyring.
func TestSystemKeyring(t *testing.T) {
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent")
	gokeyring.MockInit()
	if _, err := systemKeyring.get("/home"); !errors.Is(err, errNoEntry) {
		t.Error(err)
	}
	if err := systemKeyring.set("/home", "key"); err != nil {
		t.Error(err)
	}
	if text, err := systemKeyring.get("/home"); err != nil || text != "key" {
		t.Error(text, err)
	}
	gokeyring.MockInitWithError(errors.New("no bus"))
	if _, err := systemKeyring.get("/home"); err == nil || errors.Is(err, errNoEntry) {
		t.Error(err)
	}
}

func FuzzOpen(f *testing.F) {
	b := open(f)
	set(f, b, "A", "x")
	whole, err := os.ReadFile(b.home.Secret("A"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole[:len(whole)-1])
	f.Add([]byte("age-encryption.org/v1\n"))
	f.Fuzz(func(t *testing.T, sealed []byte) {
		if value, err := b.key.open("A", sealed); err == nil && string(value) != "x" {
			t.Fatalf("it opens as %q", value)
		}
	})
}
