// Package image owns what an instance's disks are made from: the read-only root
// images, and the blank disks that their writable layers begin as.
//
// Who calls it: the daemon makes the default image at set-up (Ensure), takes others from
// registries and archives (Store) and opens images by reference (Open); the engine makes
// an instance's disk (Blank, Clone) and says how much it takes (Used).
//
// An image is one directory, named by its digest, with a file system and a
// manifest. It is made in a stage directory and moved into place whole, so that a
// reader sees all of it or nothing. Names lead to images by small files beside them, and
// packed layers are kept in a directory that images share. Nothing here mounts anything,
// unpacks an image, runs anything from one on the host but Debian's own package scripts
// while the default image is made, or changes an image once it is in place: what came
// from elsewhere is read by a Flattener, which is another process.
package image

import (
	"encoding/hex"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"aegis/client"
)

// DefaultName is the name of the image that an empty reference means.
const DefaultName = client.DefaultImage

// Image is one root file system, ready to be a VM's read-only disk.
type Image struct {
	Digest   string // "sha256:" and 64 hexadecimal digits: its manifest's, or, where it came without one, its config's; the default's is Root
	Root     string // the digest of the file
	Path     string // absolute if the directory that was opened is
	Type     string // "ext4" or "erofs", as the guest's mount(2) calls it
	Size     int64  // bytes, of the file
	Platform string // as flatten.Platform writes it
	Config   Config
	Created  time.Time // when it was made here
	Names    []string  // short ones; of List and what a pull or an import returns
}

// native is the platform of guests that are of the host's architecture.
const native = guestOS + "/" + runtime.GOARCH

// guestOS is what every guest runs.
const guestOS = "linux"

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

// DigestOf is the digest of the image that has this directory.
func DigestOf(path string) string { return digestPrefix + filepath.Base(path) }
