package firecracker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
	"time"
)

// binary is the path of the monitor.
type binary string

// release is a version of Firecracker.
type release struct{ major, minor, patch int }

func (r release) String() string { return fmt.Sprintf("%d.%d.%d", r.major, r.minor, r.patch) }

// oldest is the first release that works. Those before 1.16 hand packets to a restored
// guest before it has reset its connections, and 1.16.0 forgets one that was on its way
// (its changelog, pull requests 5882 and 5958).
var oldest = release{1, 16, 1}

// find looks for the monitor on PATH.
func find() (binary, error) {
	path, err := exec.LookPath("firecracker")
	if err != nil {
		return "", errors.New("firecracker is not on PATH")
	}
	return binary(path), nil
}

var versionPattern = regexp.MustCompile(`^Firecracker v(\d{1,4})\.(\d{1,4})\.(\d{1,4})`)

// versions remembers the version of each build.
var versions sync.Map

// version asks the monitor for its version, once for a build; one that is not to be
// used is an error.
func (b binary) version(ctx context.Context) (release, error) {
	build, err := b.build()
	if err != nil {
		return release{}, err
	}
	if v, ok := versions.Load(build); ok {
		return v.(release), nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, string(b), "--version")
	cmd.Env = []string{}
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		return release{}, fmt.Errorf("ask %q for its version: %w", string(b), err)
	}
	v, err := parseVersion(out)
	if err != nil {
		return release{}, fmt.Errorf("%s: %w", string(b), err)
	}
	versions.Store(build, v)
	return v, nil
}

// parseVersion reads what --version prints.
func parseVersion(out []byte) (release, error) {
	m := versionPattern.FindSubmatch(out)
	if m == nil {
		return release{}, errors.New("its answer to --version is not Firecracker's")
	}
	var n [3]int
	for i := range n {
		n[i], _ = strconv.Atoi(string(m[i+1])) // at most four digits
	}
	v := release{n[0], n[1], n[2]}
	switch {
	case v.major > oldest.major:
		return v, fmt.Errorf("version %s is of a series that is not known, only %d.x is", v, oldest.major)
	case v.major < oldest.major, v.minor < oldest.minor, v.minor == oldest.minor && v.patch < oldest.patch:
		return v, fmt.Errorf("version %s loses connections of restored VMs, %s and later do not", v, oldest)
	}
	return v, nil
}

// build tells one build of the monitor from another without reading it.
func (b binary) build() (string, error) {
	info, err := os.Stat(string(b))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s %d %d", string(b), info.Size(), info.ModTime().UnixNano()), nil
}
