package daemon

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"aegis/internal/fault"
)

// Bounds of a token, in bytes: ours have 52.
const (
	minToken = 32
	maxToken = 512
)

// token reads the API's token from its file, or makes both. A file that others may
// read, or that holds no token, is refused and left as it is.
func token(path string) (string, error) {
	const what = "read the token of the API"
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeToken(path)
	}
	if err != nil {
		return "", fault.New(fault.Config, path, what, "%w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", fault.New(fault.Config, path, what, "%w", err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return "", fault.New(fault.Config, path, what, "others may read %s (%s): remove it, and a new one is made", path, info.Mode())
	}
	text, err := io.ReadAll(io.LimitReader(f, maxToken+1))
	if err != nil {
		return "", fault.New(fault.Config, path, what, "%w", err)
	}
	token := strings.TrimSpace(string(text))
	if len(token) < minToken || len(text) > maxToken || strings.ContainsFunc(token, unfit) {
		return "", fault.New(fault.Config, path, what, "%s holds no token of %d to %d printable characters: remove it, and a new one is made", path, minToken, maxToken)
	}
	return token, nil
}

// unfit are the characters that a header can't carry.
func unfit(r rune) bool { return r <= ' ' || r > '~' }

// makeToken writes a new one, which only the user can read.
func makeToken(path string) (string, error) {
	const what = "make the token of the API"
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", fault.New(fault.Internal, path, what, "%w", err)
	}
	token := rand.Text() + rand.Text() // 256 bits and more
	_, err = fmt.Fprintln(f, token)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		os.Remove(path)
		return "", fault.New(fault.Internal, path, what, "%w", err)
	}
	return token, nil
}
