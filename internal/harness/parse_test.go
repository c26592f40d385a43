//go:build linux

package harness

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"aegis/internal/wire"
)

func cancelled(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithCancel(t.Context())
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestAccounts(t *testing.T) {
	passwd := write(t, "passwd", "root:x:0:0:root:/root:/bin/sh\nbroken\nbad:x:y:z::/:\nann:x:1000:1001:Ann:/home/ann:/bin/sh\n12:x:13:14::/odd:\nhomeless:x:50:51:::\n")
	group := write(t, "group", "root:x:0:\nwheel:x:10:ann,root\naudio:x:29:ann\nannex:x:30:joanna,anna\n")
	for spec, want := range map[string]account{
		"":           {0, 0, []uint32{10}, "/root"},
		"root":       {0, 0, []uint32{10}, "/root"},
		"ann":        {1000, 1001, []uint32{10, 29}, "/home/ann"},
		"1000":       {1000, 1001, []uint32{10, 29}, "/home/ann"},
		"ann:audio":  {1000, 29, nil, "/home/ann"},
		"ann:77":     {1000, 77, nil, "/home/ann"},
		"4242":       {4242, 0, nil, "/"},
		"4242:wheel": {4242, 10, nil, "/"},
		"12":         {13, 14, nil, "/odd"}, // a name comes before a number
		"homeless":   {50, 51, nil, "/"},
		":audio":     {0, 29, nil, "/root"},
	} {
		got, err := findAccount(spec, passwd, group)
		if err != nil || got.uid != want.uid || got.gid != want.gid || got.home != want.home || !slices.Equal(got.groups, want.groups) {
			t.Errorf("%q: %+v, %v; want %+v", spec, got, err, want)
		}
	}
	for _, spec := range []string{"nobody", "bad", "-1", "4294967295", "ann:none", "99999999999"} {
		if got, err := findAccount(spec, passwd, group); err == nil {
			t.Errorf("%q: %+v", spec, got)
		}
	}
	if got, err := findAccount("7", "/nonexistent", "/nonexistent"); err != nil || got.uid != 7 {
		t.Errorf("a number without files: %+v, %v", got, err)
	}
}

func FuzzAccounts(f *testing.F) {
	f.Add("ann", "ann:x:1:2::/h:/s\n", "g:x:3:ann\n")
	f.Add("1:g", "::::::\n\x00", ":::\n")
	f.Fuzz(func(t *testing.T, spec, passwd, group string) {
		a, err := findAccount(spec, write(t, "p", passwd), write(t, "g", group))
		if err == nil && (a.home == "" || len(a.groups) > maxGroups) {
			t.Errorf("%q: %+v", spec, a)
		}
	})
}

func TestCounters(t *testing.T) {
	stat := "cpu  100 20 30 9999 888 4 5 6 70 80\ncpu0 1 1 1 1\n"
	if got := busy(stat); got != 1650*time.Millisecond {
		t.Errorf("busy: %s", got)
	}
	if got := meminfo("MemTotal:  2048 kB\nMemAvailable:\t 1024 kB\n", "MemAvailable"); got != 1<<20 {
		t.Errorf("memory: %d", got)
	}
	for _, odd := range []string{"", "cpu", "cpu x y", "\n"} {
		if busy(odd) != 0 || meminfo(odd, "MemTotal") != 0 {
			t.Errorf("%q counts", odd)
		}
	}
}

func TestKernelThreads(t *testing.T) {
	for stat, want := range map[string]bool{
		"2 (kthreadd) S 0 0 0 0 -1 2129984 0":         true,
		"9 (a) b) S 1 9 9 0 -1 4194560 0":             false,
		"9 (x) S 2 0 0 0 -1 2097152 0) S 1 1 1 1 1 0": false, // a program that calls itself so
		"": false,
	} {
		if isKernelThread(stat) != want {
			t.Errorf("%q: want %v", stat, want)
		}
	}
	if slices.Contains(processes("/proc"), 1) || !slices.Contains(processes("/proc"), os.Getpid()) || slices.Contains(processes("/proc", os.Getpid()), os.Getpid()) {
		t.Errorf("processes are not the user's")
	}
}

// TestEtc replaces a symbolic link and leaves what it points to.
func TestEtc(t *testing.T) {
	dir := t.TempDir()
	outside := write(t, "outside", "mine")
	os.Symlink(outside, filepath.Join(dir, "resolv.conf"))
	os.WriteFile(filepath.Join(dir, "hosts"), []byte("old"), 0o600)
	for range 2 {
		if err := writeEtc(dir, etcFiles("box", strings.Repeat("a", 32), nil)); err != nil {
			t.Fatal(err)
		}
	}
	if text, _ := os.ReadFile(outside); string(text) != "mine" {
		t.Errorf("the link was followed: %q", text)
	}
	for name, want := range etcFiles("box", strings.Repeat("a", 32), nil) {
		if text, _ := os.ReadFile(filepath.Join(dir, name)); string(text) != want {
			t.Errorf("%s holds %q", name, text)
		}
	}
}

func TestIdentityRefused(t *testing.T) {
	id := strings.Repeat("a", 32)
	for _, s := range []wire.Start{{MachineID: id}, {Hostname: "a\nb", MachineID: id}, {Hostname: strings.Repeat("a", 64), MachineID: id}, {Hostname: "a", MachineID: id[1:]}, {Hostname: "a", MachineID: strings.ToUpper(id)}} {
		if checkIdentity(s) == nil {
			t.Errorf("%q with %q is accepted", s.Hostname, s.MachineID)
		}
	}
	if err := checkIdentity(wire.Start{Hostname: "web-1", MachineID: id}); err != nil {
		t.Error(err)
	}
	if err := addEntropy(make([]byte, 31)); err == nil {
		t.Error("a short seed is accepted")
	}
}

// TestReaperEarly hands over an exit that comes before its PID is known, and
// forgets those of strangers.
func TestReaperEarly(t *testing.T) {
	r := newReaper()
	defer r.stop()
	var exits [2]<-chan unix.WaitStatus
	_, exits[0], _ = r.start(func() (int, error) {
		r.deliver(41, 1<<8)
		r.deliver(999, 0)
		return 41, nil
	})
	_, exits[1], _ = r.start(func() (int, error) { return 42, nil })
	r.deliver(42, 2<<8)
	r.deliver(43, 0)
	for i, exit := range exits {
		select {
		case status := <-exit:
			if status.ExitStatus() != i+1 {
				t.Errorf("process %d ended with %d", i, status.ExitStatus())
			}
		default:
			t.Errorf("process %d has no exit", i)
		}
	}
	if len(r.early) != 0 || len(r.watched) != 0 {
		t.Errorf("it keeps %v, %v", r.early, r.watched)
	}
	if err := r.signal(42, unix.SIGKILL); err != unix.ESRCH {
		t.Errorf("a signal to one that has ended: %v", err)
	}
}

func TestOOM(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "memory.events"), []byte("low 0\noom 1\noom_kill 2\noom_group_kill 0\n"), 0o644)
	g := &cgroup{path: dir}
	if g.oomKills() != 2 || (&cgroup{path: "/nonexistent"}).oomKills() != 0 {
		t.Errorf("kills are not counted")
	}
	for _, c := range []struct {
		status unix.WaitStatus
		kills  int
		want   wire.Exit
	}{
		{9, 1, wire.Exit{Signal: 9, OOM: true}},
		{9, 0, wire.Exit{Signal: 9}},
		{137 << 8, 1, wire.Exit{Code: 137, OOM: true}},
		{0, 3, wire.Exit{}},
	} {
		if got := exitOf(c.status, func() int { return c.kills }); got != c.want {
			t.Errorf("%v with %d kills: %+v, want %+v", c.status, c.kills, got, c.want)
		}
	}
}
