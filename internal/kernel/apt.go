package kernel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"aegis/internal/fault"
)

// metaPackage depends on the newest kernel of Debian's cloud flavour, which has
// the virtio drivers and no hardware's.
func metaPackage(arch string) string { return "linux-image-cloud-" + arch }

// aptTimeout bounds each run of apt: 30 MB over a slow line.
const aptTimeout = 15 * time.Minute

var packagePattern = regexp.MustCompile(`(?m)^ *\|?Depends: (linux-image-[a-z0-9.+:-]+)$`)

// source is where packages of one architecture come from.
type source struct {
	arch    string
	options []string // of apt
}

// newSource is the machine's apt, and for another architecture than the machine's
// the same with lists of its own below dir: what dpkg is told of architectures stays
// as it is. Those lists are fetched here.
func newSource(ctx context.Context, arch, dir string) (source, error) {
	s := source{arch: arch}
	if arch == runtime.GOARCH {
		return s, nil
	}
	state, cache := filepath.Join(dir, "state"), filepath.Join(dir, "cache")
	for _, d := range []string{filepath.Join(state, "lists", "partial"), filepath.Join(cache, "archives", "partial")} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return s, err
		}
	}
	status := filepath.Join(state, "status")
	if err := write(status, nil); err != nil {
		return s, err
	}
	for _, option := range []string{"APT::Architecture=" + arch, "APT::Architectures::=" + arch,
		"Dir::State=" + state, "Dir::State::status=" + status, "Dir::Cache=" + cache,
		"Acquire::Languages=none", "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
		"APT::Sandbox::User=root", // the user _apt can't pass directories that are ours alone
	} {
		s.options = append(s.options, "-o", option)
	}
	_, err := s.apt(ctx, "", "apt-get", "update")
	return s, err
}

// resolve asks apt which package the meta-package stands for.
func (s source) resolve(ctx context.Context) (string, error) {
	meta := metaPackage(s.arch)
	out, err := s.apt(ctx, "", "apt-cache", "depends", meta)
	if err != nil {
		return "", err
	}
	m := packagePattern.FindSubmatch(out)
	if m == nil {
		return "", s.unknown(meta)
	}
	return string(m[1]), nil
}

// unknown says what to do about a package that apt knows nothing of.
func (s source) unknown(name string) error {
	if s.options != nil {
		return missing("apt's sources have no package %s: have Debian's main archive among them, with architecture %s", name, s.arch)
	}
	return missing("apt knows no package %s: run `apt-get update` as root, and have Debian's main archive among apt's sources", name)
}

// download lets apt fetch and check a package into dir, and gives its path.
func (s source) download(ctx context.Context, name, dir string) (string, error) {
	if _, err := s.apt(ctx, dir, "apt-get", "download", name); err != nil {
		return "", err
	}
	debs, _ := filepath.Glob(filepath.Join(dir, "*.deb")) // the pattern is well formed
	if len(debs) != 1 {
		return "", missing("apt-get download %s left %d packages instead of one", name, len(debs))
	}
	return debs[0], nil
}

// apt runs one of its commands and gives standard output. Its last line on
// standard error is the reason of a failure.
func (s source) apt(ctx context.Context, dir, name string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, aptTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, append(slices.Clone(args), s.options...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C") // proxies come by the environment
	cmd.WaitDelay = time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	switch {
	case err == nil:
		return out, nil
	case errors.Is(err, exec.ErrNotFound):
		return nil, missing("%s is not on PATH, and only Debian's packages are known as a source of kernels", name)
	case ctx.Err() != nil:
		return nil, fmt.Errorf("run %q: %w", name, ctx.Err())
	case bytes.Contains(stderr.Bytes(), []byte("No packages found")),
		bytes.Contains(stderr.Bytes(), []byte("Unable to locate package")):
		return nil, s.unknown(args[len(args)-1])
	}
	return nil, missing("%s %s failed: %s", name, strings.Join(args, " "), lastLine(stderr.String(), err))
}

func missing(why string, args ...any) error {
	return fault.New(fault.AssetMissing, subject, "fetch the guest kernel", why, args...)
}

// lastLine is the last line that says something, else the error.
func lastLine(text string, err error) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if last := lines[len(lines)-1]; last != "" {
		return last
	}
	return err.Error()
}
