package secret

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"filippo.io/age"

	"aegis/internal/fault"
	"aegis/internal/paths"
)

// unlock finds the key, or makes it when create is set and nothing was ever
// sealed. The caller holds mu. Where it lies is decided once, by the first Set:
// a file that is there is the key; else, when there are sealed files, it can only
// be in the keyring, and a keyring that does not answer is an error, never a
// reason for a second key that could not open them.
func (b *Box) unlock(create bool) (*key, error) {
	if b.key != nil {
		return b.key, nil
	}
	text, err := b.find(create)
	if err != nil {
		return nil, err
	}
	identity, err := age.ParseX25519Identity(strings.TrimSpace(text))
	if err != nil {
		return nil, fault.New(fault.Internal, "", "open the secrets", "the key that seals them is damaged")
	}
	b.key = &key{identity}
	return b.key, nil
}

// find gives the key's text.
func (b *Box) find(create bool) (string, error) {
	text, err := readKey(b.home.SecretKey())
	if !errors.Is(err, fs.ErrNotExist) {
		return text, err
	}
	text, err = b.ring.get(b.home.Dir)
	if err == nil {
		return text, nil
	}
	sealed, listErr := b.sealed()
	switch {
	case listErr != nil:
		return "", listErr
	case sealed && errors.Is(err, errNoEntry):
		return "", fault.New(fault.Internal, "", "open the secrets", "the key that sealed them is neither in %s nor in the keyring",
			b.home.SecretKey())
	case sealed || !create:
		return "", fault.New(fault.Internal, "", "open the secrets", "the keyring that has their key does not answer: %w", err)
	}
	return b.create(errors.Is(err, errNoEntry))
}

// create makes the key and puts it in the keyring, if that answers, else in the file.
func (b *Box) create(inRing bool) (string, error) {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return "", err
	}
	text := identity.String()
	if inRing && b.ring.set(b.home.Dir, text) == nil {
		if kept, err := b.ring.get(b.home.Dir); err == nil && kept == text {
			return text, nil
		}
	}
	return text, writeFile(b.home.SecretKey(), b.home.Unfinished(), []byte(text+"\n"))
}

// sealed reports whether any secret is stored.
func (b *Box) sealed() (bool, error) {
	entries, err := os.ReadDir(b.home.Secrets())
	for _, e := range entries {
		if _, ok := paths.SecretName(e.Name()); ok {
			return true, nil
		}
	}
	return false, err
}

// readKey reads the key's file, and refuses one that others may read.
func readKey(name string) (string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return "", err
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return "", fault.New(fault.Internal, name, "open the secrets",
			"%s has mode %04o, so others may know it: it must be 0600", name, perm)
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return "", fmt.Errorf("read key: %w", err)
	}
	return string(text), nil
}
