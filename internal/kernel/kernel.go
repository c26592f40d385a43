// Package kernel keeps the guest's kernel and makes the initramfs from it.
//
// It owns a directory of kernels (paths.Home.Kernels), one directory for each version:
// the image, the modules a guest may need, and a manifest of their sizes and
// SHA-256 sums; beside them the initramfs archives. The daemon and setup call it:
// Ensure and Initrd make what is missing, Open finds it. It installs nothing on the host, needs no
// privileges, and never boots anything.
package kernel

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"aegis/internal/fault"
)

// Names inside a kernel's directory.
const (
	nameManifest = "manifest.json"
	nameImage    = "vmlinuz"
	nameModules  = "modules"
)

// subject is what faults of this package are about.
const subject = "kernel"

// Kernel is one that Open found whole.
type Kernel struct {
	Dir     string // absolute or as given to Open, holds all files
	Version string // its release, as uname -r says: "6.1.0-56-cloud-amd64"
	Arch    string // as GOARCH
	Image   string // path of the compressed image, as its maker ships it

	files   []file              // the manifest
	modules map[string][]string // feature → names below Dir/modules, in load order
}

// manifest is what manifest.json holds.
type manifest struct {
	Version string              `json:"version"`
	Arch    string              `json:"arch"`
	Package string              `json:"package"` // name and version it came in
	Files   []file              `json:"files"`
	Modules map[string][]string `json:"modules"`
}

// file is one file below a kernel's directory.
type file struct {
	Name   string `json:"name"` // slash-separated
	Size   int64  `json:"size"` // bytes
	SHA256 string `json:"sha256"`
}

// Open finds the kernel of an architecture (as GOARCH) in a directory of kernels; of
// several the one whose manifest was written last. It checks every size, which takes
// microseconds: a fault.AssetMissing if there is none, a fault.AssetDamaged naming the
// file that is missing or cut short.
func Open(dir, arch string) (Kernel, error) {
	k, err := newest(dir, arch)
	if err != nil {
		return Kernel{}, err
	}
	for _, f := range k.files {
		if err := k.checkSize(f); err != nil {
			return Kernel{}, err
		}
	}
	return k, nil
}

// newest is the kernel of the manifest that was written last. Where none of this
// architecture can be read, one that is damaged may have been it.
func newest(dir, arch string) (Kernel, error) {
	manifests, err := filepath.Glob(filepath.Join(dir, "[0-9]*", nameManifest))
	if err != nil {
		return Kernel{}, fmt.Errorf("look for kernels in %q: %w", dir, err)
	}
	var found Kernel
	var latest fs.FileInfo
	var failed error
	for _, m := range manifests {
		info, err := os.Stat(m)
		if err != nil || latest != nil && !info.ModTime().After(latest.ModTime()) {
			continue
		}
		k, err := read(filepath.Dir(m))
		switch {
		case err != nil:
			failed = err
		case k.Arch == arch:
			found, latest = k, info
		}
	}
	switch {
	case latest != nil:
		return found, nil
	case failed != nil:
		return Kernel{}, failed
	}
	return Kernel{}, fault.New(fault.AssetMissing, subject, "find the guest kernel", "there is none for %s in %s", arch, dir)
}

// read parses a manifest.
func read(dir string) (Kernel, error) {
	path := filepath.Join(dir, nameManifest)
	data, err := os.ReadFile(path)
	if err != nil {
		return Kernel{}, damaged(path, "it can't be read: %w", err)
	}
	var m manifest
	if err := json.Unmarshal(data, &m); err != nil || m.Version == "" || len(m.Files) == 0 {
		return Kernel{}, damaged(path, "it is not a whole manifest")
	}
	return Kernel{
		Dir: dir, Version: m.Version, Arch: m.Arch, Image: filepath.Join(dir, nameImage),
		files: m.Files, modules: m.Modules,
	}, nil
}

func (k Kernel) checkSize(f file) error {
	path := filepath.Join(k.Dir, filepath.FromSlash(f.Name))
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return damaged(path, "it is missing")
	case err != nil:
		return damaged(path, "%w", err)
	case info.Size() != f.Size:
		return damaged(path, "it has %d bytes instead of %d", info.Size(), f.Size)
	}
	return nil
}

// Verify reads every file and compares its SHA-256, which takes a tenth of a
// second; else as Open.
func (k Kernel) Verify() error {
	for _, f := range k.files {
		if err := k.checkSize(f); err != nil {
			return err
		}
		path := filepath.Join(k.Dir, filepath.FromSlash(f.Name))
		sum, err := hashFile(path)
		if err != nil {
			return damaged(path, "%w", err)
		}
		if sum != f.SHA256 {
			return damaged(path, "its SHA-256 is not the one it was stored with")
		}
	}
	return nil
}

func damaged(path, why string, args ...any) error {
	return fault.New(fault.AssetDamaged, subject, "use "+path, why, args...)
}

// hashFile is the SHA-256 of a file in hexadecimal.
func hashFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
