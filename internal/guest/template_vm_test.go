//go:build linux

package guest_test

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aegis/internal/fault"
	"aegis/internal/guest"
	"aegis/internal/wire"
)

// warming are programs of the default image, and one that it has not.
var warming = [][]string{{"true"}, {"sh", "-c", "true"}, {"aegis-has-no-such-program"}, {"python3", "-c", "pass"}}

// prepare gets a VM ready for a template.
func (b *booted) prepare(t *testing.T) {
	t.Helper()
	seed := make([]byte, 32)
	rand.Read(seed)
	ctx, cancel := context.WithTimeout(t.Context(), bootTime)
	defer cancel()
	stages, err := guest.Prepare(ctx, b.channel(t), wire.Prepare{Seed: seed, Base: "base", BaseType: b.image.Type, Programs: warming})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("prepared: %v", stages)
}

// rehearse runs a program over the disk that the VM has now.
func (b *booted) rehearse(t *testing.T, args ...string) error {
	t.Helper()
	start := b.startOf(wire.Process{Args: args, Dir: "/workspace"})
	start.Workspace, start.Self = &wire.Workspace{}, &wire.Self{}
	began := time.Now()
	stages, err := b.link.Rehearse(t.Context(), start)
	t.Logf("%v in %s: %v", args, time.Since(began), stages)
	return err
}

func clean(t *testing.T, disk string) {
	t.Helper()
	if out, err := exec.Command("e2fsck", "-fn", disk).CombinedOutput(); err != nil {
		t.Errorf("the disk is not clean: %v\n%s", err, out)
	}
}

// TestRehearsals has a VM prepared and, without a template in between, rehearsed and
// started: what a rehearsal did is gone, and the disk is whole at each moment.
func TestRehearsals(t *testing.T) {
	disk := blankDisk(t)
	b := power(t, disk)
	b.prepare(t)
	b.open(t, guest.Reopen)
	for _, args := range slices.Concat(warming, [][]string{{"true"}, {"sh", "-c", "echo left | tee /root/left /tmp/left /run/left /dev/shm/left; (pwd; ls /workspace && echo empty) | tee /root/saw; sleep 1000 & exit 3"}}) {
		err := b.rehearse(t, args...)
		if missing := args[0] == "aegis-has-no-such-program"; missing != fault.Is(err, fault.CommandNotFound) || err != nil && !missing {
			t.Fatalf("%v: %v", args, err)
		}
		clean(t, disk)
	}
	root := b.startOf(wire.Process{}).Root
	for range 2 {
		if err := errors.Join(b.link.Mount(t.Context(), wire.Ahead{Root: root}), b.link.Unmount(t.Context())); err != nil {
			t.Fatal(err)
		}
		clean(t, disk)
	}
	if err := b.link.Unmount(t.Context()); err == nil {
		t.Error("a disk was unmounted that was not mounted")
	}
	if err := b.link.Mount(t.Context(), wire.Ahead{Root: root, Programs: append(warming, []string{"sh", "-c", "for dir in /root /tmp /run /dev /dev/shm; do echo left >$dir/ahead; done"})}); err != nil {
		t.Fatal(err)
	}
	b.serveWorkspace(t)
	main, err := b.start(t, wire.Process{Args: []string{"sleep", "infinity"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.rehearse(t, "true"); !fault.Is(err, fault.WrongState) {
		t.Errorf("a rehearsal after the start: %v", err)
	}
	out, _ := b.exec(t, "look", "sh", "-c", "ls /tmp /run /dev /dev/shm /root; cat /proc/sys/kernel/random/boot_id /etc/machine-id; grep -c . /proc/mounts; ls -d /aegis /modules; ls /proc | grep -c '^[0-9]'")
	if strings.Count(out, "left") != 1 || strings.Contains(out, "ahead") || strings.Contains(out, "00000000-") || !strings.Contains(out, strings.Repeat("0a", 16)) {
		t.Errorf("%s", out) // what was written to the disk stays there: this test gave each rehearsal the same one
	}
	t.Log(out)
	os.WriteFile(filepath.Join(b.shared, "shared"), nil, 0o644)
	out, _ = b.exec(t, "workspaces", "sh", "-c", "cat /root/saw; ls /workspace; ps -eo args | grep -c ^aegis-fuse-pump")
	if out != "/workspace\nempty\nshared\n1\n" {
		t.Errorf("the rehearsal's workspace, the instance's, and the pumps: %q", out)
	}
	b.shutdown(t)
	main.Cancel()
	clean(t, disk)
}
