package shim

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aegis/internal/instance"
	"aegis/internal/paths"
)

// A program that never listens is an error with its own words.
func TestSpawnFails(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ body, want string }{
		{"echo out of order >&2; exit 3", "out of order"},
		{"exec sleep 60", "did not begin to listen"},
	} {
		program := filepath.Join(dir, "shim")
		if err := os.WriteFile(program, []byte("#!/bin/sh\n"+c.body+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		_, err := Spawn(ctx, program, instance.Launch{RunDir: dir}, nil)
		cancel()
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "EOF") {
			t.Errorf("%q: %v", c.body, err)
		}
	}
}

func TestAdoptNobody(t *testing.T) {
	dir, err := os.MkdirTemp("", "shim")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	run := paths.Run{Dir: dir}
	if _, _, err := Adopt(t.Context(), run); err == nil {
		t.Error("a run without a socket was adopted")
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: run.Socket()})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	if _, _, err := Adopt(t.Context(), run); err == nil {
		t.Error("a run with a stale socket was adopted")
	}
}

// A shim that ended without a word is told by what is on disk, or by nothing.
func TestReadExit(t *testing.T) {
	run := paths.Run{Dir: t.TempDir()}
	if _, ok := ReadExit(run); ok {
		t.Error("read an exit that is not there")
	}
	os.WriteFile(run.Exit(), []byte(`{"code":`), 0o600)
	if _, ok := ReadExit(run); ok {
		t.Error("read half an exit")
	}
	want := instance.Exit{Code: 1, Reason: instance.Exited, At: time.Now().UTC().Round(0)}
	if err := writeExit(run, want); err != nil {
		t.Fatal(err)
	}
	if got, ok := ReadExit(run); !ok || got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
