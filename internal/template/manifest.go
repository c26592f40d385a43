package template

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"aegis/internal/durable"
	"aegis/internal/fault"
	"aegis/internal/paths"
)

// manifest says what a whole template is. It is written last.
type manifest struct {
	Schema  int       `json:"schema"`
	Key     string    `json:"key"`
	Shape   Shape     `json:"shape"`
	Created time.Time `json:"created"`
	Files   []file    `json:"files"`
}

// file is one of a template's files.
type file struct {
	Name   string `json:"name"`
	Trace  trace  `json:"trace"`
	Digest string `json:"digest"` // as digest gives it
}

// filesMost bounds a template: monitors leave two or three files.
const filesMost = 64

// maxManifest bounds a manifest, in bytes.
const maxManifest = 64 << 10

// seal synchronizes what a maker has left in dir, and writes down what it is.
func seal(dir paths.Template, shape Shape) error {
	m := manifest{Schema: schema, Key: shape.Key(), Shape: shape, Created: time.Now().UTC()}
	entries, err := os.ReadDir(dir.Dir)
	if err != nil {
		return err
	}
	if len(entries) == 0 || len(entries) > filesMost {
		return fmt.Errorf("its maker left %d files", len(entries))
	}
	for _, e := range entries {
		f, err := sealFile(filepath.Join(dir.Dir, e.Name()))
		if err != nil {
			return err
		}
		m.Files = append(m.Files, f)
	}
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if err := os.WriteFile(dir.Manifest(), body, 0o600); err != nil {
		return err
	}
	if err := durable.Sync(dir.Manifest()); err != nil {
		return err
	}
	return durable.Sync(dir.Dir)
}

// sealFile makes a file private and durable before it takes its trace.
func sealFile(path string) (file, error) {
	before, err := look(path)
	if err != nil {
		return file{}, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return file{}, err
	}
	if err := durable.Sync(path); err != nil {
		return file{}, err
	}
	sum, err := digest(path, before.Size, wholeMost)
	if err != nil {
		return file{}, err
	}
	after, err := look(path)
	if err != nil {
		return file{}, err
	}
	if after.Size != before.Size || after.Modified != before.Modified {
		return file{}, fmt.Errorf("%s changes while it is sealed", path)
	}
	return file{Name: filepath.Base(path), Trace: after, Digest: sum}, nil
}

// check compares a template with its manifest; digests too, when deep. Any
// difference is a fault.AssetDamaged.
func check(dir paths.Template, key string, deep bool) error {
	m, err := readManifest(dir, key)
	if err != nil {
		return damaged(key, err)
	}
	entries, err := os.ReadDir(dir.Dir)
	if err != nil {
		return damaged(key, err)
	}
	if len(entries) != len(m.Files)+1 {
		return damaged(key, fmt.Errorf("it has %d files and was made with %d", len(entries), len(m.Files)+1))
	}
	for _, f := range m.Files {
		if err := f.check(dir, deep); err != nil {
			return damaged(key, err)
		}
	}
	return nil
}

func (f file) check(dir paths.Template, deep bool) error {
	path := filepath.Join(dir.Dir, f.Name)
	now, err := look(path)
	switch {
	case err != nil:
		return err
	case now.Size != f.Trace.Size:
		return fmt.Errorf("%s has %d bytes instead of %d", f.Name, now.Size, f.Trace.Size)
	case now != f.Trace:
		return fmt.Errorf("%s was changed after it was made", f.Name)
	case !deep:
		return nil
	}
	sum, err := digest(path, now.Size, wholeMost)
	if err != nil {
		return err
	}
	if sum != f.Digest {
		return fmt.Errorf("%s holds other bytes than it was made with", f.Name)
	}
	return nil
}

func readManifest(dir paths.Template, key string) (manifest, error) {
	var m manifest
	info, err := os.Lstat(dir.Manifest())
	if err != nil {
		return m, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxManifest {
		return m, fmt.Errorf("its manifest is no file of ours")
	}
	body, err := os.ReadFile(dir.Manifest())
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return m, fmt.Errorf("its manifest can't be read: %w", err)
	}
	if m.Schema != schema || m.Key != key || m.Shape.Key() != key || len(m.Files) == 0 {
		return m, fmt.Errorf("its manifest is another's")
	}
	for _, f := range m.Files {
		if f.Name != filepath.Base(f.Name) {
			return m, fmt.Errorf("its manifest names %.40q", f.Name)
		}
	}
	return m, nil
}

func damaged(key string, err error) error {
	return fault.New(fault.AssetDamaged, key, "use template "+key, "%w", err)
}
