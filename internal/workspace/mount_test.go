//go:build linux

package workspace_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"

	"aegis/internal/harness/fuse"
	"aegis/internal/workspace"
)

// A process that touches a mount which it serves itself can block on itself, so
// the server and the pump are processes of their own, as they are in a VM.
const roleVariable = "AEGIS_TEST_WORKSPACE_ROLE"

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(roleVariable) {
	case "serve":
		err = serveRole()
	case "pump":
		err = fuse.Pump(os.NewFile(3, "device"), os.NewFile(4, "channel"))
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serveRole() error {
	var opts workspace.Options
	if err := json.Unmarshal([]byte(os.Args[1]), &opts); err != nil {
		return err
	}
	channel, err := net.FileConn(os.NewFile(4, "channel"))
	if err != nil {
		return err
	}
	return workspace.Serve(context.Background(), os.NewFile(3, "root"), channel, opts)
}

// role starts this binary again with two files.
func role(t *testing.T, name string, args []string, files ...*os.File) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), roleVariable+"="+name)
	cmd.ExtraFiles = files
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		f.Close()
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
}

// mounted serves a fresh directory and mounts it, and returns both sides.
func mounted(t *testing.T, opts workspace.Options) (host, guest string) {
	t.Helper()
	host, guest = t.TempDir(), t.TempDir()
	mountOn(t, host, guest, opts, nil)
	return host, guest
}

// mountOn mounts it; what is first in the channel comes before the kernel's messages.
func mountOn(t *testing.T, host, guest string, opts workspace.Options, first []byte) {
	t.Helper()
	root, err := os.Open(host)
	if err != nil {
		t.Fatal(err)
	}
	device, err := fuse.Open()
	var mount *os.File
	if err == nil {
		mount, err = fuse.Mount(device)
	}
	if err == nil {
		err = fuse.Attach(mount, guest, opts.ReadOnly)
		mount.Close()
	}
	if err != nil {
		root.Close()
		t.Skipf("pending: a FUSE mount needs root and /dev/fuse: %v", err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(pair[1], first); err != nil {
		t.Fatal(err)
	}
	encoded, err := json.Marshal(opts)
	if err != nil {
		t.Fatal(err)
	}
	role(t, "serve", []string{string(encoded)}, root, os.NewFile(uintptr(pair[0]), "host end"))
	role(t, "pump", nil, device, os.NewFile(uintptr(pair[1]), "guest end"))
	t.Cleanup(func() { unix.Unmount(guest, unix.MNT_DETACH) })
	if err := fuse.ReadAhead(guest); err != nil {
		t.Fatal(err)
	}
}

// sh runs a script with the directory in $1 and returns what it prints.
func sh(t *testing.T, script, dir string) string {
	t.Helper()
	cmd := exec.Command("sh", "-euc", script, "sh", dir)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "HOME=/nonexistent")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s\n%v\n%s", script, err, out)
	}
	return string(out)
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
