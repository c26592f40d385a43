package secret

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"time"

	gokeyring "github.com/zalando/go-keyring"
)

// keyring is the user's, as two questions, each answered within keyringWait.
type keyring struct {
	get func(home string) (string, error) // errNoEntry: it works and does not have it
	set func(home, text string) error
}

var (
	errNoEntry   = errors.New("the keyring has no such entry")
	errNoKeyring = errors.New("there is no keyring")
	errSilent    = errors.New("the keyring did not answer in time; it may be locked")
)

// service is the name under which the user sees the entry; the account beside it
// is the home's path, so several homes have a key each.
const service = "aegis"

// keyringWait bounds one question. A keyring that is locked asks the user, who is
// perhaps not there; whoever unlocks it tries again.
const keyringWait = 5 * time.Second

// systemKeyring is the Secret Service over D-Bus on Linux, the Keychain on macOS.
var systemKeyring = keyring{
	get: func(home string) (string, error) {
		return bounded(func() (string, error) {
			text, err := gokeyring.Get(service, home)
			if errors.Is(err, gokeyring.ErrNotFound) {
				err = errNoEntry
			}
			return text, err
		})
	},
	set: func(home, text string) error {
		_, err := bounded(func() (string, error) { return "", gokeyring.Set(service, home, text) })
		return err
	},
}

// bounded asks in the background, if there is anybody to ask. The question of a
// keyring that never answers stays behind; there is no way to take it back.
func bounded(ask func() (string, error)) (string, error) {
	if !reachable(os.Getenv) {
		return "", errNoKeyring
	}
	type answer struct {
		text string
		err  error
	}
	answers := make(chan answer, 1)
	go func() {
		text, err := ask()
		answers <- answer{text, err}
	}()
	select {
	case a := <-answers:
		return a.text, a.err
	case <-time.After(keyringWait):
		return "", errSilent
	}
}

// reachable reports whether the user's session bus is there. Without this look
// the D-Bus library would start a bus of its own.
func reachable(getenv func(string) string) bool {
	if runtime.GOOS == "darwin" || getenv("DBUS_SESSION_BUS_ADDRESS") != "" {
		return true
	}
	dir := getenv("XDG_RUNTIME_DIR")
	if dir == "" {
		return false
	}
	_, err := os.Stat(filepath.Join(dir, "bus"))
	return err == nil
}
