package kernel

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"aegis/internal/fault"
	"aegis/internal/undo"
)

// stagePrefix begins the names of unfinished work in the directory of kernels.
const stagePrefix = ".stage-"

// stageAge is when unfinished work of somebody else counts as abandoned.
const stageAge = time.Hour

// Ensure gives the kernel of an architecture (as GOARCH), and makes it when it
// is missing or damaged: Debian's package, fetched and checked by apt, unpacked
// and never installed. It works as an ordinary user. report gets a line for each
// slow step; it may be nil. A fault.AssetMissing says what apt lacks. Kernels of
// several architectures lie beside each other.
func Ensure(ctx context.Context, dir, arch string, report func(msg string)) (Kernel, error) {
	if k, err := Open(dir, arch); err == nil && k.Verify() == nil {
		return k, nil
	}
	if report == nil {
		report = func(string) {}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Kernel{}, failed(dir, err)
	}
	sweep(dir)
	stage, err := os.MkdirTemp(dir, stagePrefix)
	if err != nil {
		return Kernel{}, failed(dir, err)
	}
	var u undo.Stack
	defer u.Run()
	u.Add(func() { os.RemoveAll(stage) })

	report("asking apt for " + metaPackage(arch))
	deb, err := fetch(ctx, arch, stage, report)
	if err != nil {
		return Kernel{}, err
	}
	report("unpacking " + filepath.Base(deb))
	if err := build(ctx, deb, arch, stage, dir); err != nil {
		return Kernel{}, failed(dir, err)
	}
	return Open(dir, arch)
}

// fetch has apt bring the newest package of an architecture into stage.
func fetch(ctx context.Context, arch, stage string, report func(msg string)) (string, error) {
	from, err := newSource(ctx, arch, stage)
	if err != nil {
		return "", err
	}
	name, err := from.resolve(ctx)
	if err != nil {
		return "", err
	}
	report("fetching " + name)
	return from.download(ctx, name, stage)
}

// failed tells a full disk from the rest.
func failed(dir string, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fault.New(fault.NoSpace, dir, "make the guest kernel", "%w", err)
	}
	return missing("%w", err)
}

// build makes a kernel's directory in stage and puts it into dir, where an older
// one of the same version gives way.
func build(ctx context.Context, deb, arch, stage, dir string) error {
	raw := filepath.Join(stage, "raw")
	whole := filepath.Join(stage, "whole")
	for _, d := range []string{raw, whole, filepath.Join(whole, nameModules)} {
		if err := os.Mkdir(d, 0o700); err != nil {
			return err
		}
	}
	content, err := unpack(ctx, deb, raw)
	if err != nil {
		return err
	}
	m := manifest{Version: content.version, Arch: arch, Package: strings.TrimSuffix(filepath.Base(deb), ".deb")}
	if err := keep(ctx, &m, content, whole); err != nil {
		return err
	}
	final := filepath.Join(dir, content.version)
	if err := os.Rename(final, filepath.Join(stage, "old")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(whole, final); err != nil {
		return err
	}
	prune(dir, content.version, arch)
	return nil
}

// keep writes what a guest needs, and last the manifest.
func keep(ctx context.Context, m *manifest, content unpacked, dir string) error {
	r := &resolver{from: content, data: map[string][]byte{}}
	base, err := r.order(features[Base], nil)
	if err != nil {
		return err
	}
	orders := map[string][]string{Base: base}
	for feature, want := range features {
		if feature == Base {
			continue
		}
		if orders[feature], err = r.order(want, base); err != nil {
			return err
		}
	}
	m.Modules = orders
	image, err := os.ReadFile(content.image)
	if err != nil {
		return err
	}
	if err := m.add(dir, nameImage, image); err != nil {
		return err
	}
	for name, data := range r.data {
		if err := m.add(dir, moduleFile(name), data); err != nil {
			return err
		}
	}
	text, err := json.MarshalIndent(m, "", "\t")
	if err != nil {
		return err
	}
	return write(filepath.Join(dir, nameManifest), text)
}

// moduleFile is a module's place below a kernel's directory.
func moduleFile(name string) string { return nameModules + "/" + name + ".ko" }

// add writes a file and notes it.
func (m *manifest) add(dir, name string, data []byte) error {
	sum := sha256.Sum256(data)
	m.Files = append(m.Files, file{Name: name, Size: int64(len(data)), SHA256: hex.EncodeToString(sum[:])})
	return write(filepath.Join(dir, filepath.FromSlash(name)), data)
}

// write makes a file and has it on disk before it is given its final name.
func write(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %q: %w", path, err)
	}
	return nil
}

// prune removes the other kernels of an architecture, and what no manifest
// explains. Running guests keep theirs in memory.
func prune(dir, version, arch string) {
	entries, _ := os.ReadDir(dir) // what can't be listed can't be pruned
	for _, e := range entries {
		if e.Name() == version || !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		old := filepath.Join(dir, e.Name())
		if k, err := read(old); err != nil || k.Arch == arch {
			os.RemoveAll(old)
		}
	}
}

// sweep removes work that somebody left unfinished.
func sweep(dir string) {
	stages, _ := filepath.Glob(filepath.Join(dir, stagePrefix+"*")) // the pattern is well formed
	for _, s := range stages {
		if info, err := os.Stat(s); err == nil && time.Since(info.ModTime()) > stageAge {
			os.RemoveAll(s)
		}
	}
}
