package vmmtest

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"aegis/internal/vmm"
)

// damaged restores from copies of the template with one file cut, lengthened or
// gone: an error, or a VM that ends, and never one that waits.
func damaged(s *suite, tmpl *template) {
	for _, name := range names(s, tmpl.dir) {
		for what, spoil := range map[string]func(path string, size int64) error{
			"cut":        func(path string, size int64) error { return os.Truncate(path, size/2) },
			"empty":      func(path string, size int64) error { return os.Truncate(path, 0) },
			"lengthened": func(path string, size int64) error { return os.Truncate(path, size+4096) },
			"missing":    func(path string, size int64) error { return os.Remove(path) },
		} {
			bad := *tmpl
			bad.dir = s.TempDir()
			s.copyTree(tmpl.dir, bad.dir)
			path := filepath.Join(bad.dir, name)
			info, err := os.Stat(path)
			if err == nil {
				err = spoil(path, info.Size())
			}
			if err != nil {
				s.Fatal(err)
			}
			s.dead(&bad, what+" "+name)
			os.RemoveAll(bad.dir)
		}
	}
	s.dead(&template{dir: s.TempDir(), base: tmpl.base, snaps: tmpl.snaps}, "nothing")
}

// dead restores what can't live.
func (s *suite) dead(tmpl *template, what string) {
	s.Helper()
	vm, err := s.restore(tmpl)
	if err != nil {
		return
	}
	defer vm.Close()
	select {
	case <-vm.Done():
		if vm.Err() == nil {
			s.Errorf("%s: the end is clean", what)
		}
	case <-time.After(patience):
		s.Errorf("%s: the VM lives", what)
	}
}

// copyTree copies files and keeps their holes and times.
func (s *suite) copyTree(from, to string) {
	s.Helper()
	for _, name := range names(s, from) {
		if err := copySparse(filepath.Join(from, name), filepath.Join(to, name)); err != nil {
			s.Fatal(err)
		}
	}
}

func copySparse(from, to string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	info, err := src.Stat()
	if err != nil {
		return err
	}
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, info.Mode())
	if err != nil {
		return err
	}
	defer dst.Close()
	buf, zeros := make([]byte, 1<<16), make([]byte, 1<<16)
	for at := int64(0); err == nil; {
		var n int
		n, err = io.ReadFull(src, buf)
		if string(buf[:n]) != string(zeros[:n]) {
			if _, err := dst.WriteAt(buf[:n], at); err != nil {
				return err
			}
		}
		at += int64(n)
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	return errors.Join(dst.Truncate(info.Size()), dst.Close(), os.Chtimes(to, info.ModTime(), info.ModTime()))
}

// closesRestored ends VMs and contexts while they are being restored.
func closesRestored(s *suite, tmpl *template) {
	for wait := time.Duration(0); wait < 64*time.Millisecond; wait = 2*wait + time.Millisecond {
		ctx, cancel := context.WithTimeout(s.Context(), wait)
		cfg := s.clone(tmpl)
		vm, err := tmpl.snaps.Restore(ctx, tmpl.dir, cfg)
		s.closeFiles(cfg)
		cancel()
		if err == nil {
			s.closed(s.keep(vm, cfg).VM)
		}
	}
	vm, c := s.mustRestore(tmpl)
	c.send("make %d", big) // nobody reads it
	s.closed(vm)
}

// unsaved has VMs that can't be saved: their directories stay empty, they end.
func unsaved(s *suite, tmpl *template) {
	vm, _ := s.mustRestore(tmpl)
	if tmpl.snaps.Save(s.Context(), vm.VM) == nil {
		s.Error("a VM that is no template is saved")
	}
	if err := s.ended(vm); !errors.Is(err, vmm.ErrClosed) {
		s.Errorf("after Save Err is %v", err)
	}

	cfg := s.shape(tmpl.base)
	cfg.Template = s.TempDir()
	early := s.boot(cfg)
	var wg sync.WaitGroup
	var err error
	wg.Go(func() { err = tmpl.snaps.Save(s.Context(), early.VM) })
	early.Close()
	wg.Wait()
	if left := names(s, cfg.Template); err != nil && len(left) > 0 {
		s.Errorf("Save says %v and leaves %v", err, left)
	}
}
