package image

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"aegis/internal/durable"
)

// dirRefs is below an images directory: one file a name and platform.
const dirRefs = "refs"

// record is a name that leads to an image.
type record struct {
	Name     string    `json:"name"` // full
	Platform string    `json:"platform"`
	Digest   string    `json:"digest"`
	Index    string    `json:"index,omitempty"` // of several platforms, by which the registry has the name
	At       time.Time `json:"at"`              // when it was given
}

// file is where the record of a name is. The name itself may be too long for one.
func (r record) file(dir string) string {
	sum := sha256.Sum256([]byte(r.Name + "\n" + r.Platform))
	return filepath.Join(dir, dirRefs, hex.EncodeToString(sum[:])+".json")
}

// save gives the name to the image, and takes it from another.
func (r record) save(dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, dirRefs), 0o700); err != nil {
		return err
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Join(dir, dirRefs), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(append(text, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), r.file(dir))
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	return durable.Sync(filepath.Join(dir, dirRefs))
}

// records are those that can be read, in the order of their names. One that is spoilt
// is a name that is not there: a pull gives it again.
func records(dir string) (out []record) {
	entries, err := os.ReadDir(filepath.Join(dir, dirRefs))
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".json") {
			continue
		}
		if r, err := readRecord(filepath.Join(dir, dirRefs, e.Name())); err == nil {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b record) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Platform, b.Platform))
	})
	return out
}

func readRecord(path string) (record, error) {
	var r record
	f, err := os.Open(path)
	if err != nil {
		return r, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxManifest))
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, err
	}
	if !isDigest(r.Digest) || r.Name == "" {
		return r, fmt.Errorf("%s is no name of an image", path)
	}
	return r, nil
}

// named finds the record of a full name.
func named(dir, full, platform string) (record, bool) {
	r := record{Name: full, Platform: platform}
	got, err := readRecord(r.file(dir))
	return got, err == nil
}

// forget takes a name away.
func (r record) forget(dir string) error {
	if err := os.Remove(r.file(dir)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
