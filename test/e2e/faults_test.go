package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"aegis/client"
)

// life is the processes of one run.
type life map[string]process // by role: aegis-shim, vmm, fs, net

// roles are those of a life that is whole.
var roles = []string{"aegis-shim", "vmm", "fs", "net"}

// lives are all runs of the home that have a shim, by their directory's name: a shim
// works in its run's directory, and the others are its children.
func (h *home) lives() map[string]life {
	runs := filepath.Join(h.dir, "run") + "/"
	out, of := map[string]life{}, map[int]life{}
	every := all()
	for _, p := range every {
		run, ours := strings.CutPrefix(strings.TrimSuffix(p.cwd, " (deleted)"), runs)
		if !ours || strings.Contains(run, "/") || p.role() != roles[0] { // aegisd there is about to become a shim
			continue
		}
		out[run] = life{roles[0]: p}
		of[p.pid] = out[run]
	}
	for _, p := range every {
		if l := of[p.parent]; l != nil && p.role() != roles[0] { // that is about to become a monitor
			l[p.role()] = p
		}
	}
	return out
}

// number reads a variable that changes how long or which way a test goes.
func number(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// faults is a loop of kills: what it kills, and what must stay true.
type faults struct {
	*home
	began   time.Time
	rng     *rand.Rand
	traffic *traffic
	ports   []string // "name address", which never change
}

// TestFaults kills the daemon, shims, helpers and monitors at random moments while
// two instances serve pages and write files. After each fault states are true
// within two seconds, nothing is left of what died, ports stay, and every file that was
// written and synchronized is whole. AEGIS_FAULTS is the number of faults,
// AEGIS_SEED the way.
func TestFaults(t *testing.T) {
	rounds, seed := number(t, "AEGIS_FAULTS", 20), number(t, "AEGIS_SEED", uint64(time.Now().UnixNano()))
	t.Logf("AEGIS_FAULTS=%d AEGIS_SEED=%d", rounds, seed)
	h := newHome(t)
	f := &faults{home: h, began: time.Now(), rng: rand.New(rand.NewPCG(seed, 0))}
	names := []string{"a", "b"}
	for _, name := range names {
		f.ports = append(f.ports, name+" "+h.serve(name, "--pause-after", "never"))
	}
	f.traffic = h.drive(names)
	defer f.traffic.stop()
	for round := range rounds {
		f.round(int(round))
		if t.Failed() {
			t.Fatalf("in round %d of AEGIS_SEED=%d", round, seed)
		}
	}
	f.restart()
	f.eventually(2*time.Minute, "both serve, and pages and files go through", f.passing())
	f.traffic.stop()
	t.Logf("killed %d times; %s", rounds, f.traffic)
	if fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", h.one("aegisd").pid)); len(fds) > 60 {
		t.Errorf("the daemon has %d descriptors", len(fds))
	}
	h.ok(words("instance delete --force a b")...)
	h.bare()
	f.intact()
}

// round does one fault: every other time while both serve, else as it comes.
func (f *faults) round(n int) {
	if f.rng.IntN(2) > 0 {
		f.restart()
		f.eventually(2*time.Minute, "both serve", f.serving)
	}
	time.Sleep(time.Duration(f.rng.IntN(300)) * time.Millisecond) // the moment is what is random
	f.traffic.hold()
	defer f.traffic.resume()
	killed := f.strike(n)
	if len(killed) == 0 { // the daemon: its successor comes with the next command
		f.ok("up")
	}
	f.eventually(2*time.Second, fmt.Sprintf("all is true after fault %d", n), func() error {
		return errors.Join(gone(killed), f.truth())
	})
	f.intact()
}

// restart starts by hand what was killed so often so soon after its start that it
// is held back: no connection starts it, for up to five minutes.
func (f *faults) restart() {
	for _, i := range f.list() {
		if i.HeldUntil != nil && time.Until(*i.HeldUntil) > 0 {
			f.t.Logf("%s is held back until %s", i.Name, i.HeldUntil)
			if r := f.run("", "instance", "start", "--name", i.Name); r.code != 0 && !strings.Contains(r.stderr, "is STARTING") && !strings.Contains(r.stderr, "is RUNNING") {
				f.t.Errorf("start %s: %s", i.Name, r.stderr)
			}
		}
	}
}

// serving wants both RUNNING with all their processes.
func (f *faults) serving() error {
	for _, i := range f.list() {
		if i.State != "RUNNING" {
			return fmt.Errorf("%s is %s", i.Name, i.State)
		}
	}
	return nil
}

// passing wants both to serve, and more pages and files than there were.
func (f *faults) passing() func() error {
	pages, files := f.traffic.pages.Load(), len(f.traffic.written())
	return func() error {
		if f.traffic.pages.Load() == pages || len(f.traffic.written()) == files {
			return fmt.Errorf("%s, as before", f.traffic)
		}
		return f.serving()
	}
}

// strike kills one process, and returns the life that it belonged to.
func (f *faults) strike(n int) life {
	f.t.Helper()
	role := append([]string{"daemon"}, roles...)[f.rng.IntN(len(roles)+1)]
	lives := f.lives()
	runs := make([]string, 0, len(lives))
	for run, l := range lives {
		if _, has := l[role]; has {
			runs = append(runs, run)
		}
	}
	slices.Sort(runs)
	var victim process
	var l life
	if len(runs) == 0 {
		role, victim = "daemon", f.one("aegisd --ready-fd")
	} else {
		l = lives[runs[f.rng.IntN(len(runs))]]
		victim = l[role]
	}
	f.t.Logf("fault %d at %s: %s %d", n, time.Since(f.began).Round(time.Millisecond), role, victim.pid)
	if !f.killed(victim) {
		return f.strike(n) // it was about to end of the fault before
	}
	return l
}

// gone wants every process of a life dead.
func gone(l life) error {
	for role, p := range l {
		for _, q := range all() {
			if q.pid == p.pid && q.args == p.args {
				return fmt.Errorf("%s %d is left", role, p.pid)
			}
		}
	}
	return nil
}

func (f *faults) list() []client.Instance {
	f.t.Helper()
	var list []client.Instance
	if err := json.Unmarshal([]byte(f.ok("ps", "--json")), &list); err != nil {
		f.t.Fatal(err)
	}
	return list
}

// truth compares what Aegis says with what there is: processes, directories, ports.
func (f *faults) truth() error {
	f.t.Helper()
	list := f.list()
	lives, runs := f.lives(), f.runs()
	running, starting := 0, 0
	var ports []string
	for _, i := range list {
		ports = append(ports, i.Name+" "+i.Ports[0].URL)
		switch i.State {
		case "RUNNING":
			running++
		case "STARTING":
			starting++
		case "STOPPED":
			if i.Exit == nil || i.Exit.Reason != "vm-died" && i.Exit.Reason != "boot-failed" {
				return fmt.Errorf("%s ended so: %+v", i.Name, i.Exit)
			}
		}
	}
	slices.Sort(ports)
	whole := 0
	for _, l := range lives {
		if len(l) == len(roles) {
			whole++
		}
	}
	dirs, _ := filepath.Glob(filepath.Join(f.dir, "instances", "*"))
	switch {
	case !slices.Equal(ports, f.ports):
		return fmt.Errorf("ports %v, were %v", ports, f.ports)
	case whole < running, len(lives) > running+starting:
		return fmt.Errorf("%d RUNNING, %d STARTING, and processes %v", running, starting, lives)
	case len(runs) > running+starting:
		return fmt.Errorf("%d RUNNING, %d STARTING, and runs %v", running, starting, runs)
	case len(dirs) != 2:
		return fmt.Errorf("directories of instances: %v", dirs)
	case len(listening(f.one("aegisd --ready-fd").pid)) != 3: // two instances and the front door
		return fmt.Errorf("the daemon listens at %v", listening(f.one("aegisd --ready-fd").pid))
	}
	return nil
}

// intact compares every file that was synchronized with what was written.
func (f *faults) intact() {
	f.t.Helper()
	for path, want := range f.traffic.written() {
		if got, err := checksum(filepath.Join(f.cwd, path)); got != want {
			f.t.Errorf("%s was %s and is %s (%v)", path, want, got, err)
		}
	}
}
