package kernel

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Bounds of a kernel package: Debian 12's has 14 MB of image and 4,000 files.
const (
	maxImage   = 256 << 20 // bytes
	maxEntries = 100_000
)

// unpacked is a package's content, by what this package needs of it.
type unpacked struct {
	version string              // from the image's name
	image   string              // path
	modules map[string]string   // module name → path of the file, still compressed if it came so
	builtin map[string]struct{} // module names that the kernel has in itself
}

// unpack reads a .deb and writes image and modules to dir, flat. Names in the
// archive only choose a file's name, never its directory.
func unpack(ctx context.Context, deb, dir string) (unpacked, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "dpkg-deb", "--fsys-tarfile", deb)
	cmd.WaitDelay = time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return unpacked{}, fmt.Errorf("unpack %q: %w", deb, err)
	}
	if err := cmd.Start(); err != nil {
		return unpacked{}, missing("dpkg-deb can't be run: %w", err)
	}
	content, err := pick(tar.NewReader(out), dir)
	if err != nil {
		cancel()
	}
	if werr := cmd.Wait(); err == nil && werr != nil {
		err = errors.New(lastLine(stderr.String(), werr))
	}
	if err == nil && (content.version == "" || len(content.modules) == 0) {
		err = errors.New("it holds no kernel")
	}
	if err != nil {
		return unpacked{}, fmt.Errorf("unpack %q: %w", filepath.Base(deb), err)
	}
	return content, nil
}

var (
	imagePattern  = regexp.MustCompile(`^(?:\./)?boot/vmlinu[xz]-([0-9][A-Za-z0-9.+~-]{0,80})$`)
	modulePattern = regexp.MustCompile(`^(?:\./)?(?:usr/)?lib/modules/[^/]+/kernel/.*/([A-Za-z0-9_.-]+\.ko(?:\.xz|\.zst)?)$`)
	builtPattern  = regexp.MustCompile(`^(?:\./)?(?:usr/)?lib/modules/[^/]+/modules\.builtin$`)
)

// pick takes what is needed from the archive.
func pick(archive *tar.Reader, dir string) (unpacked, error) {
	out := unpacked{modules: map[string]string{}, builtin: map[string]struct{}{}}
	for range maxEntries {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if m := imagePattern.FindStringSubmatch(h.Name); m != nil {
			out.version, out.image = m[1], filepath.Join(dir, nameImage)
			err = save(archive, out.image, maxImage)
		} else if m := modulePattern.FindStringSubmatch(h.Name); m != nil {
			path := filepath.Join(dir, m[1])
			out.modules[moduleName(m[1])] = path
			err = save(archive, path, maxModule)
		} else if builtPattern.MatchString(h.Name) {
			err = out.readBuiltin(io.LimitReader(archive, maxModule))
		}
		if err != nil {
			return out, fmt.Errorf("take %q: %w", h.Name, err)
		}
	}
	return out, fmt.Errorf("it has more than %d entries", maxEntries)
}

func (u *unpacked) readBuiltin(r io.Reader) error {
	data, err := io.ReadAll(r)
	for line := range strings.Lines(string(data)) {
		u.builtin[moduleName(path.Base(strings.TrimSpace(line)))] = struct{}{}
	}
	return err
}

// save writes at most limit bytes to a new file.
func save(r io.Reader, path string, limit int64) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	n, err := io.Copy(f, io.LimitReader(r, limit+1))
	if err == nil && n > limit {
		err = fmt.Errorf("it is larger than %d bytes", limit)
	}
	return errors.Join(err, f.Close())
}
