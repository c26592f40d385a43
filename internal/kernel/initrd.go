package kernel

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"aegis/internal/fault"
)

// initrdPattern matches what Initrd writes: initrd-KEY.cpio.
const initrdPattern = "initrd-*.cpio"

// initrdAge is how long an archive of another key is kept after its last use: a
// daemon of another version may share the cache.
const initrdAge = 24 * time.Hour

// Initrd gives the path of the initramfs with the harness as /init, the modules
// as /modules/NAME.ko, and their load order, one file name a line, in
// /modules/order; /modules/order.FEATURE lists what a feature needs beyond that.
// It is made once for a kernel and a harness, uncompressed (decompression under
// emulation costs more than it saves), and an archive that was cut short is made anew.
func Initrd(ctx context.Context, k Kernel, harnessPath, dir string) (string, error) {
	if sum, ok := seen.of(harnessPath); ok {
		if path := k.archive(dir, sum); whole(path) && use(path) == nil {
			return path, nil
		}
	}
	harness, sum, err := seen.read(harnessPath)
	if err != nil {
		return "", fault.New(fault.AssetMissing, harnessPath, "make the initramfs", "the harness can't be read: %w", err)
	}
	path := k.archive(dir, sum)
	if whole(path) && use(path) == nil {
		return path, nil
	}
	data, err := k.pack(ctx, harness)
	if err != nil {
		return "", err
	}
	if err := replace(path, data); err != nil {
		return "", failed(dir, err)
	}
	pruneInitrds(dir, path)
	return path, nil
}

// useEvery is how long a use of an archive may go unnoticed: whoever remembers its
// digest by its times need not read it each time.
const useEvery = time.Hour

// use keeps an archive from being pruned.
func use(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	now := time.Now()
	if now.Sub(info.ModTime()).Abs() < useEvery {
		return nil
	}
	return os.Chtimes(path, now, now)
}

// archive is where the initramfs with a harness of that digest is.
func (k Kernel) archive(dir string, harness digest) string {
	return filepath.Join(dir, "initrd-"+k.key(harness)+".cpio")
}

// key names everything that shapes the archive.
func (k Kernel) key(harness digest) string {
	h := sha256.New()
	fmt.Fprintf(h, "2\n%s %s\n", k.Version, k.Arch)
	for _, feature := range k.featureNames() {
		fmt.Fprintf(h, "%q %q\n", feature, k.modules[feature])
	}
	for _, f := range k.files {
		fmt.Fprintf(h, "%s %s\n", f.Name, f.SHA256)
	}
	h.Write(harness[:])
	return hex.EncodeToString(h.Sum(nil)[:12])
}

func (k Kernel) featureNames() []string {
	var names []string
	for name := range k.modules {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// pack makes the archive, of modules that are what the manifest says.
func (k Kernel) pack(ctx context.Context, harness []byte) ([]byte, error) {
	var a archive
	a.add("dev", modeDir, nil)
	a.add("modules", modeDir, nil)
	for _, f := range k.files {
		if !strings.HasPrefix(f.Name, nameModules+"/") {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("make the initramfs: %w", err)
		}
		path := filepath.Join(k.Dir, filepath.FromSlash(f.Name))
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, damaged(path, "%w", err)
		}
		if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != f.SHA256 {
			return nil, damaged(path, "its SHA-256 is not the one it was stored with")
		}
		a.add(f.Name, modeFile, data)
	}
	for _, feature := range k.featureNames() {
		var order bytes.Buffer
		for _, name := range k.modules[feature] {
			order.WriteString(name + ".ko\n")
		}
		a.add(orderFile(feature), modeFile, order.Bytes())
	}
	a.add("init", modeExec, harness)
	return a.bytes(), nil
}

func orderFile(feature string) string {
	if feature == Base {
		return nameModules + "/order"
	}
	return nameModules + "/order." + feature
}

// whole reports whether an archive is there with its end: one that was cut short
// has no trailer.
func whole(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	end := make([]byte, len(archiveEnd))
	if _, err := f.Seek(-int64(len(end)), io.SeekEnd); err != nil {
		return false
	}
	if _, err := io.ReadFull(f, end); err != nil {
		return false
	}
	return string(end) == archiveEnd
}

// replace writes a file and gives it its name when it is whole.
func replace(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	stage, err := os.MkdirTemp(filepath.Dir(path), stagePrefix)
	if err != nil {
		return err
	}
	defer os.RemoveAll(stage)
	draft := filepath.Join(stage, filepath.Base(path))
	if err := write(draft, data); err != nil {
		return err
	}
	return os.Rename(draft, path)
}

func pruneInitrds(dir, keep string) {
	paths, _ := filepath.Glob(filepath.Join(dir, initrdPattern)) // the pattern is well formed
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil && path != keep && time.Since(info.ModTime()) > initrdAge {
			os.Remove(path)
		}
	}
}
