// Package library finds libkrun and libkrunfw, and tells from their files whether they
// are of a series that works. The backend and its worker call it; it loads neither.
package library

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
)

// Pair are the two libraries. The paths are of files, no links, and absolute.
type Pair struct {
	Libkrun, Libkrunfw string
	Version            string // of libkrun, such as "1.19.7"
}

// oldest is the first release of libkrun that is known to have all that is used. 1 is
// the one series there is.
var oldest = [3]int{1, 19, 4}

// Find looks for both in the directories, in their order.
func Find(dirs []string) (Pair, error) {
	var p Pair
	var err error
	if p.Libkrun, err = find(names.libkrun, dirs); err != nil {
		return Pair{}, err
	}
	if p.Libkrunfw, err = find(names.libkrunfw, dirs); err != nil {
		return Pair{}, err
	}
	return p, p.Check()
}

// find is the file that a name leads to in the first of the directories that has it.
func find(name string, dirs []string) (string, error) {
	for _, dir := range dirs {
		if real, err := filepath.EvalSymlinks(filepath.Join(dir, name)); err == nil && filepath.IsAbs(real) {
			return real, nil
		}
	}
	return "", fmt.Errorf("%s is in none of %s", name, list(dirs))
}

// list is directories as text.
func list(dirs []string) string {
	text := ""
	for i, dir := range dirs {
		if i > 0 {
			text += ", "
		}
		text += dir
	}
	return text
}

// Check refuses libraries that are others than their names say, and sets the version.
func (p *Pair) Check() error {
	if err := checkName(p.Libkrun, names.libkrun); err != nil {
		return err
	}
	if err := checkName(p.Libkrunfw, names.libkrunfw); err != nil {
		return err
	}
	version, err := parseVersion(filepath.Base(p.Libkrun))
	if err != nil {
		return err
	}
	p.Version = fmt.Sprintf("%d.%d.%d", version[0], version[1], version[2])
	return nil
}

// parseVersion reads the version in the name of libkrun's file: no function tells it.
func parseVersion(name string) (v [3]int, err error) {
	m := names.version.FindStringSubmatch(name)
	if m == nil {
		return v, fmt.Errorf("the file behind %s is named %s, which tells no version", names.libkrun, name)
	}
	for i := range v {
		v[i], _ = strconv.Atoi(m[i+1]) // at most four digits
	}
	for i := range v {
		if v[i] != oldest[i] {
			if v[i] < oldest[i] {
				return v, fmt.Errorf("libkrun %s.%s.%s is too old, %d.%d.%d and later 1.x are not", m[1], m[2], m[3], oldest[0], oldest[1], oldest[2])
			}
			break
		}
	}
	if v[0] != oldest[0] {
		return v, fmt.Errorf("libkrun %s.%s.%s is of a series that is not known, only %d.x is", m[1], m[2], m[3], oldest[0])
	}
	return v, nil
}

// Build tells one build of the libraries from another without reading them.
func (p Pair) Build() (string, error) {
	text := ""
	for _, path := range []string{p.Libkrun, p.Libkrunfw} {
		info, err := os.Stat(path)
		if err != nil {
			return "", err
		}
		text += fmt.Sprintf("%s %d %d ", path, info.Size(), info.ModTime().UnixNano())
	}
	return text, nil
}

// spelling is how a platform names shared libraries.
type spelling struct {
	libkrun, libkrunfw string
	version            *regexp.Regexp // of the file behind libkrun
}
