package qemu

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"time"
)

// binary is the path of an emulator.
type binary string

// minMajor is the oldest QEMU that the command line was tried with: 7.2, Debian 12.
const minMajor = 7

// find looks for the emulator of an architecture on PATH. A link is followed: the
// emulator looks for its modules and firmware from where it is.
func find(arch string) (binary, error) {
	board, err := boardOf(arch)
	if err != nil {
		return "", err
	}
	path, err := exec.LookPath(board.emulator)
	if err != nil {
		return "", fmt.Errorf("%s is not on PATH (%s)", board.emulator, Install(arch))
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", fmt.Errorf("find the emulator: %w", err)
	}
	return binary(real), nil
}

var versionPattern = regexp.MustCompile(`^QEMU emulator version (\d+)\.(\d+)`)

// versions remembers the major version of each emulator: asking takes 20 ms.
var versions sync.Map

// version asks the emulator for its major version, once a process.
func (b binary) version(ctx context.Context) (int, error) {
	if major, ok := versions.Load(b); ok {
		return major.(int), nil
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, string(b), "--version")
	cmd.Env = []string{}
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("ask %q for its version: %w", string(b), err)
	}
	major, err := parseVersion(out)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", string(b), err)
	}
	versions.Store(b, major)
	return major, nil
}

// parseVersion reads the first line of --version.
func parseVersion(out []byte) (int, error) {
	m := versionPattern.FindSubmatch(out)
	if m == nil {
		return 0, errors.New("its answer to --version is not QEMU's")
	}
	major, err := strconv.Atoi(string(m[1]))
	if err != nil || major < minMajor {
		return 0, fmt.Errorf("version %s.%s is older than %d", m[1], m[2], minMajor)
	}
	return major, nil
}

// Retranslates reports whether the emulator of an architecture translates the code of each
// program anew at every start: those before 9.0 do, where programs start at random
// addresses (docs/performance.md, exec).
func Retranslates(ctx context.Context, arch string) (bool, error) {
	bin, err := find(arch)
	if err != nil {
		return false, err
	}
	major, err := bin.version(ctx)
	return err == nil && major < 9, err
}
