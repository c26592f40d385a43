package image

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// draftAge is how old an unfinished blank disk is that nobody makes any more.
const draftAge = 24 * time.Hour

// Unused lists the directories of the images below dir that have no name, are no
// platform's default, and whose digest is not one of refs. Where the default image is
// missing or damaged, and of what has no whole manifest, it names none.
func Unused(dir string, refs []string) []string {
	if _, err := openDefault(dir, native); err != nil {
		return nil
	}
	found, _ := list(dir) // damage is set-up's to mend
	for _, r := range records(dir) {
		refs = append(refs, r.Digest)
	}
	var out []string
	for _, m := range found {
		best, err := openDefault(dir, m.platform())
		if (err != nil || m.Digest != best.Digest) && !slices.Contains(refs, m.Digest) {
			out = append(out, place(dir, m.Digest))
		}
	}
	return out
}

// UnusedBlanks lists the files of Blank's directory that are blank disks of none of
// these sizes, in bytes, or drafts that were never finished.
func UnusedBlanks(dir string, sizes []int64) []string {
	keep := map[string]bool{}
	for _, size := range sizes {
		keep[blankName(size)] = true
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() || !strings.HasPrefix(e.Name(), blankPrefix) || keep[e.Name()] {
			continue
		}
		if filepath.Ext(e.Name()) == blankSuffix || time.Since(info.ModTime()) > draftAge {
			out = append(out, filepath.Join(dir, e.Name()))
		}
	}
	return out
}

// A blank disk's name begins and ends so.
const (
	blankPrefix = "ext4-"
	blankSuffix = ".img"
)

// blankName is the file of a blank disk of this size.
func blankName(size int64) string {
	return fmt.Sprintf("%s%d-%d%s", blankPrefix, blankFormat, size&^4095, blankSuffix)
}
