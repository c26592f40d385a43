// Package secret keeps secrets sealed on disk: one file each below the home,
// encrypted and authenticated (age, X25519) under a key in the user's keyring
// or, without one, in a file of mode 0600. The daemon alone opens it; the engine
// takes values out of it at a start and lets the shim pass them on.
//
// It never logs a value, never puts one in an error, an argument or the
// environment, and never writes one unsealed.
package secret

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"aegis/internal/durable"
	"aegis/internal/fault"
	"aegis/internal/paths"
)

// MaxValue is the longest value, in bytes: half of what Linux takes as one
// string of an environment (MAX_ARG_STRLEN, 128 KiB, execve(2)).
const MaxValue = 64 << 10

// namePattern is what a shell takes as the name of a variable.
var namePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)

// Info is what may be told of a secret.
type Info struct {
	Name      string
	UpdatedAt time.Time
	Version   string // changes with each Set, even of an equal value, and tells nothing of it
}

// Box is the secrets of one home. Its methods may be called by several goroutines
// at once.
type Box struct {
	home paths.Home
	ring keyring

	mu  sync.Mutex // one writer, and one search for the key
	key *key       // nil until it was needed
}

// Open gives the secrets of a home, and removes what a crash left half-written.
// It does not ask for the key: that waits for the first Set or Get, so that a
// keyring that is locked delays nothing else.
func Open(home paths.Home) (*Box, error) {
	if err := os.MkdirAll(home.Secrets(), 0o700); err != nil {
		return nil, explain("", "open the secrets", err)
	}
	left, err := filepath.Glob(home.Unfinished())
	if err != nil {
		return nil, explain("", "open the secrets", err)
	}
	for _, name := range left {
		os.Remove(name)
	}
	return &Box{home: home, ring: systemKeyring}, nil
}

// Set stores value under name, at once or not at all. It is the caller's to wipe.
// Bad names, values with NUL, and values over MaxValue are fault.Invalid.
func (b *Box) Set(name string, value []byte) error {
	what := fmt.Sprintf("set secret %.140q", name)
	if err := checkName(name, what); err != nil {
		return err
	}
	if len(value) > MaxValue {
		return fault.New(fault.Invalid, name, what, "the value has %d bytes, at most %d are allowed", len(value), MaxValue)
	}
	if bytes.IndexByte(value, 0) >= 0 {
		return fault.New(fault.Invalid, name, what, "the value has a NUL byte, which no environment can hold")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	key, err := b.unlock(true)
	if err != nil {
		return explain(name, what, err)
	}
	sealed, err := key.seal(name, value)
	if err != nil {
		return explain(name, what, err)
	}
	if err := writeFile(b.home.Secret(name), b.home.Unfinished(), sealed); err != nil {
		return explain(name, what, err)
	}
	return nil
}

// Get opens the values of names, all or none. Those that are not set are a
// fault.SecretMissing that names each of them. The values are the caller's to wipe.
func (b *Box) Get(names ...string) (map[string][]byte, error) {
	const what = "read secrets"
	files, err := b.read(names)
	if err != nil || len(files) == 0 {
		return map[string][]byte{}, err
	}
	b.mu.Lock()
	key, err := b.unlock(false)
	b.mu.Unlock()
	if err != nil {
		return nil, explain(strings.Join(names, ", "), what, err)
	}
	out := make(map[string][]byte, len(files))
	for name, sealed := range files {
		value, err := key.open(name, sealed)
		if err != nil {
			for _, v := range out {
				clear(v)
			}
			return nil, fault.New(fault.SecretMissing, name, what,
				"the sealed file of %s is damaged, or was sealed under another key or name: %w", name, err)
		}
		out[name] = value
	}
	return out, nil
}

// read reads the sealed files of names.
func (b *Box) read(names []string) (map[string][]byte, error) {
	const what = "read secrets"
	files := map[string][]byte{}
	var missing []string
	for _, name := range names {
		if err := checkName(name, what); err != nil {
			return nil, err
		}
		sealed, err := os.ReadFile(b.home.Secret(name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, name)
		case err != nil:
			return nil, explain(name, what, err)
		default:
			files[name] = sealed
		}
	}
	slices.Sort(missing)
	missing = slices.Compact(missing)
	switch len(missing) {
	case 0:
		return files, nil
	case 1:
		return nil, fault.New(fault.SecretMissing, missing[0], what, "%s is not set", missing[0])
	}
	list := strings.Join(missing, ", ")
	return nil, fault.New(fault.SecretMissing, missing[0], what, "%s are not set", list) // a hint sets one at a time
}

// List tells of every secret, by name. It needs no key.
func (b *Box) List() ([]Info, error) {
	entries, err := os.ReadDir(b.home.Secrets())
	if err != nil {
		return nil, explain("", "list secrets", err)
	}
	var out []Info
	for _, e := range entries {
		name, ok := paths.SecretName(e.Name())
		if !ok || !namePattern.MatchString(name) {
			continue
		}
		info, err := b.info(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, explain(name, "list secrets", err)
		}
		out = append(out, info)
	}
	slices.SortFunc(out, func(a, b Info) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// info tells of one secret. The version is a sum of the sealed bytes, which a new
// random file key makes different each time.
func (b *Box) info(name string) (Info, error) {
	file := b.home.Secret(name)
	stat, err := os.Stat(file)
	if err != nil {
		return Info{}, err
	}
	sealed, err := os.ReadFile(file)
	if err != nil {
		return Info{}, err
	}
	sum := sha256.Sum256(sealed)
	return Info{Name: name, UpdatedAt: stat.ModTime().UTC(), Version: hex.EncodeToString(sum[:8])}, nil
}

// Versions is the version of every secret, by name. One that is asked before a
// Get may be older than the value, never newer.
func (b *Box) Versions() (map[string]string, error) {
	infos, err := b.List()
	out := make(map[string]string, len(infos))
	for _, i := range infos {
		out[i.Name] = i.Version
	}
	return out, err
}

// Delete removes a secret; fault.SecretMissing when it is not set.
func (b *Box) Delete(name string) error {
	what := fmt.Sprintf("delete secret %.140q", name)
	if err := checkName(name, what); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	err := os.Remove(b.home.Secret(name))
	if errors.Is(err, fs.ErrNotExist) {
		return fault.New(fault.SecretMissing, name, what, "it is not set")
	}
	if err == nil {
		err = durable.Sync(b.home.Secrets())
	}
	if err != nil {
		return explain(name, what, err)
	}
	return nil
}

func checkName(name, what string) error {
	if namePattern.MatchString(name) {
		return nil
	}
	return fault.New(fault.Invalid, name, what,
		"%.140q is not a secret's name: a letter or _, then up to 127 more letters, digits or _", name)
}
