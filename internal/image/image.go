// Package image owns what an instance's disks are made from: the read-only root
// images, and the blank disks that their writable layers begin as.
//
// Who calls it: the daemon makes the default image at set-up (Ensure) and opens
// images by reference (Open); the engine makes an instance's disk (Blank, Clone)
// and says how much it takes (Used).
//
// An image is one directory, named by its digest, with a file system and a
// manifest. It is made in a stage directory and moved into place whole, so that a
// reader sees all of it or nothing. Nothing here mounts anything, runs anything
// from an image on the host but Debian's own package scripts while the default
// image is made, or changes an image once it is in place.
package image

import (
	"encoding/hex"
	"path/filepath"
	"strings"
)

// DefaultName is the name of the image that an empty reference means.
const DefaultName = "default"

// Image is one root file system, ready to be a VM's read-only disk.
type Image struct {
	Digest string // "sha256:" and 64 hexadecimal digits, of the file
	Name   string
	Path   string // absolute if the directory that was opened is
	Type   string // "ext4" or "erofs", as the guest's mount(2) calls it
	Size   int64  // bytes
	Config Config
}

// Config is what an image says about the process to run in it. The fields mean
// what they mean in the OCI image specification's config.
type Config struct {
	Entrypoint []string          `json:"entrypoint,omitempty"`
	Cmd        []string          `json:"cmd,omitempty"`
	Env        map[string]string `json:"env,omitempty"`
	User       string            `json:"user,omitempty"` // empty: root
	Workdir    string            `json:"workdir,omitempty"`
	Expose     []string          `json:"expose,omitempty"` // "80/tcp"; information only
}

// Names below an images directory, one directory an image.
const (
	fileRoot     = "root.ext4"
	fileManifest = "manifest.json"
)

const digestPrefix = "sha256:"

// isDigest reports whether ref is a full digest, which is also what makes it safe
// as a directory's name.
func isDigest(ref string) bool {
	sum, ok := strings.CutPrefix(ref, digestPrefix)
	if !ok || len(sum) != 64 || strings.ToLower(sum) != sum {
		return false
	}
	_, err := hex.DecodeString(sum)
	return err == nil
}

// place is the directory of the image with this digest.
func place(dir, digest string) string {
	return filepath.Join(dir, strings.TrimPrefix(digest, digestPrefix))
}
