package image

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"aegis/internal/fault"
)

// maxManifest bounds what is read of a manifest, in bytes.
const maxManifest = 1 << 20

// manifest is the file that makes a directory an image. It is written last.
type manifest struct {
	Name     string    `json:"name,omitempty"`   // the default's; the names of others are records
	Recipe   string    `json:"recipe,omitempty"` // what the image was built from; empty: not built here
	Digest   string    `json:"digest"`
	Root     string    `json:"root,omitempty"` // digest of the file; empty: Digest
	Type     string    `json:"type"`
	Size     int64     `json:"size"`
	Platform string    `json:"platform,omitempty"` // empty: this machine's
	Layers   []string  `json:"layers,omitempty"`   // digests of the packed layers it was made from, where they are kept
	Config   Config    `json:"config"`
	Created  time.Time `json:"created"`
}

// image joins the manifest with the directory it was read from.
func (m manifest) image(dir string) Image {
	var names []string
	if m.Name != "" {
		names = []string{m.Name}
	}
	return Image{Digest: m.Digest, Root: cmp.Or(m.Root, m.Digest), Path: filepath.Join(dir, fileRoot), Type: m.Type, Size: m.Size,
		Platform: m.platform(), Config: m.Config, Created: m.Created, Names: names}
}

// platform is what the image is made for.
func (m manifest) platform() string { return cmp.Or(m.Platform, native) }

// write puts the manifest into dir and on the disk.
func (m manifest) write(dir string) error {
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("encode manifest: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, fileManifest), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o400)
	if err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	_, err = f.Write(append(data, '\n'))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	return nil
}

// readManifest reads the manifest in dir. One that is missing is a
// fault.AssetMissing, one that is cut short or altered a fault.AssetDamaged.
func readManifest(dir string) (manifest, error) {
	path := filepath.Join(dir, fileManifest)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return manifest{}, missing(path, "there is no image in %s", dir)
	}
	if err != nil {
		return manifest{}, damaged(path, "%w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxManifest))
	if err != nil {
		return manifest{}, fmt.Errorf("read manifest: %w", err)
	}
	m, err := parseManifest(data)
	if err != nil {
		return manifest{}, damaged(path, "its manifest is not readable: %w", err)
	}
	if place(filepath.Dir(dir), m.Digest) != filepath.Clean(dir) {
		return manifest{}, damaged(path, "its manifest is of another image, %s", m.Digest)
	}
	return m, nil
}

// parseManifest decodes and checks a manifest; unknown fields are refused.
func parseManifest(data []byte) (manifest, error) {
	var m manifest
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&m); err != nil {
		return manifest{}, err
	}
	switch {
	case !isDigest(m.Digest):
		return manifest{}, fmt.Errorf("%.80q is no digest", m.Digest)
	case m.Root != "" && !isDigest(m.Root):
		return manifest{}, fmt.Errorf("%.80q is no digest", m.Root)
	case m.Size <= 0:
		return manifest{}, fmt.Errorf("%d is no size", m.Size)
	case m.Type != "ext4" && m.Type != "erofs":
		return manifest{}, fmt.Errorf("%.20q is no file system", m.Type)
	}
	return m, nil
}

// check compares the root file's size with the manifest: cheap enough for every
// use, and it finds what a full disk or a killed copy leaves.
func (m manifest) check(dir string) error {
	path := filepath.Join(dir, fileRoot)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return missing(path, "the file is gone")
	case err != nil:
		return damaged(path, "%w", err)
	case !info.Mode().IsRegular():
		return damaged(path, "it is not a regular file")
	case info.Size() != m.Size:
		return damaged(path, "%s has %d bytes where its manifest says %d", path, info.Size(), m.Size)
	}
	return nil
}

func damaged(path, why string, args ...any) error {
	return fault.New(fault.AssetDamaged, path, "use image", why, args...)
}

func missing(path, why string, args ...any) error {
	return fault.New(fault.AssetMissing, path, "use image", why, args...)
}
