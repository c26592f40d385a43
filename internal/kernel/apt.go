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
	"strings"
	"time"

	"aegis/internal/fault"
)

// metaPackage depends on the newest kernel of Debian's cloud flavour, which has
// the virtio drivers and no hardware's.
func metaPackage(arch string) string {
	name := "linux-image-cloud-" + arch
	if arch != runtime.GOARCH {
		name += ":" + arch
	}
	return name
}

// aptTimeout bounds each run of apt: 30 MB over a slow line.
const aptTimeout = 15 * time.Minute

var packagePattern = regexp.MustCompile(`(?m)^ *\|?Depends: (linux-image-[a-z0-9.+:-]+)$`)

// resolve asks apt which package the meta-package stands for.
func resolve(ctx context.Context, arch string) (string, error) {
	meta := metaPackage(arch)
	out, err := apt(ctx, "", "apt-cache", "depends", meta)
	if err != nil {
		return "", err
	}
	m := packagePattern.FindSubmatch(out)
	if m == nil {
		return "", missing("apt knows no package %s: run `apt-get update` as root, and have Debian's main archive among apt's sources", meta)
	}
	name := string(m[1])
	if arch != runtime.GOARCH && !strings.Contains(name, ":") {
		name += ":" + arch
	}
	return name, nil
}

// download lets apt fetch and check a package into dir, and gives its path.
func download(ctx context.Context, name, dir string) (string, error) {
	if _, err := apt(ctx, dir, "apt-get", "download", name); err != nil {
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
func apt(ctx context.Context, dir, name string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, aptTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
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
		return nil, missing("apt knows no package %s: run `apt-get update` as root, and have Debian's main archive among apt's sources", args[len(args)-1])
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
