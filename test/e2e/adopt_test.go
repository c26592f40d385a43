package e2e

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite" // registers the driver
)

// adopted bounds how long a new daemon may take to know the truth, a shim that
// hangs included: its first answer is waited for 5 s.
const adopted = 15 * time.Second

// sql changes the registry behind the back of Aegis, whose daemon must be down.
func (h *home) sql(statement string) {
	h.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(h.dir, "registry.db"))
	if err != nil {
		h.t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		h.t.Fatalf("%s: %v", statement, err)
	}
}

// end kills the daemon and waits until it is gone.
func (h *home) end(signal syscall.Signal) {
	h.t.Helper()
	daemon := h.one("aegisd")
	if err := syscall.Kill(daemon.pid, signal); err != nil {
		h.t.Fatal(err)
	}
	h.eventually(10*time.Second, "the daemon is gone", func() error {
		if syscall.Kill(daemon.pid, 0) == nil {
			return fmt.Errorf("it is there")
		}
		return nil
	})
}

// runs are the directories of lives of VMs.
func (h *home) runs() []string {
	dirs, _ := filepath.Glob(filepath.Join(h.dir, "run", "*"))
	return dirs
}

// died wants an instance whose VM was found gone, and nothing of it left but what
// it keeps: one daemon alone, no run directory.
func (h *home) died(name, why string) {
	h.t.Helper()
	info := h.info(name)
	if info.State != "STOPPED" || info.Exit == nil || info.Exit.Reason != "vm-died" || !strings.Contains(info.Exit.Error, why) {
		h.t.Errorf("%s: %s %+v, want STOPPED, vm-died and %q", name, info.State, info.Exit, why)
	}
	h.eventually(2*time.Second, "nothing of the run is left", func() error {
		if left, runs := h.processes(), h.runs(); len(left) != 1 || len(runs) != 0 {
			return fmt.Errorf("processes %v, runs %v", left, runs)
		}
		return nil
	})
}

// TestUpgrade ends the daemon and starts that of another version, which takes over
// what runs and what is paused, shims of the old version included.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.ownCache() // another harness means another initramfs
	url := h.serve("web", "--pause-after", "never")
	h.ok(words("instance start --name idle --pause-after never -- sleep infinity")...)
	h.ok(words("instance pause idle")...)
	before := h.processes()
	h.end(syscall.SIGTERM)
	later := h.another()
	later.sql(`UPDATE instances SET body = json_set(body, '$.of_the_future', 1, '$.spec.of_the_future', json('{"a": [1]}'))`)
	if status := later.ok("status"); !strings.Contains(status, "another (pid") {
		t.Fatalf("status:\n%s", status)
	}
	if web, idle := later.info("web"), later.info("idle"); web.State != "RUNNING" || idle.State != "PAUSED" || web.Ports[0].URL != url {
		t.Errorf("web is %s at %v, idle %s", web.State, web.Ports, idle.State)
	}
	if after := later.processes(); len(after) != len(before) {
		t.Errorf("processes: %v, were %v", after, before)
	}
	later.page(url, "page of web\n")
	if got := later.ok(words("exec idle -- echo woken")...); got != "woken\n" {
		t.Errorf("%q", got)
	}
	later.ok(words("instance stop web idle")...)
	later.ok(words("instance start --name web")...) // with the new harness
	later.page(url, "page of web\n")
	later.ok("down")
}

// TestNewerRegistry refuses what a newer Aegis has made, and leaves it as it is.
func TestNewerRegistry(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.ok("up")
	h.ok("down")
	h.sql(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)`)
	line := `open registry "` + h.dir + `/registry.db": a newer Aegis made it (schema 99, this one knows up to *)`
	h.refuses(refusal{"", 1, line, "aegis version", words("ps")})
	h.refuses(refusal{"", 125, line, "aegis version", words("run -- true")})
	h.sql(`DELETE FROM goose_db_version WHERE version_id = 99`)
	h.ok("ps")
}

// TestReboot kills everything at once and leaves sockets and run directories as a
// power cut would: all is STOPPED, says why, keeps its port and disk, and starts.
func TestReboot(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	url := h.serve("web", "--pause-after", "never")
	h.ok(words("instance start --name idle -- sleep infinity")...)
	h.ok(words("instance pause idle")...)
	h.ok("exec", "web", "--", "sh", "-c", "echo kept > /root/kept && sync")
	groups := h.groups()
	// the daemon first, so that it sees no end; a shim last, so that it tells none
	for _, word := range []string{"aegisd", "aegis-shim", "qemu-system", "firecracker", "aegis-krun", " fs"} {
		for _, p := range h.processes() {
			if strings.Contains(p.args, word) {
				syscall.Kill(p.pid, syscall.SIGKILL)
			}
		}
	}
	h.eventually(5*time.Second, "all are dead", func() error {
		if left := h.processes(); len(left) != 0 {
			return fmt.Errorf("%v", left)
		}
		return nil
	})
	if runs := h.runs(); len(runs) != 2 {
		t.Fatalf("runs: %v", runs)
	}
	h.ok("up")
	h.died("web", "its VM was gone when the daemon came back")
	h.died("idle", "its VM was gone when the daemon came back")
	h.gone(groups)
	h.page(url, "page of web\n")
	if got := h.ok(words("exec web -- cat /root/kept")...); got != "kept\n" {
		t.Errorf("%q", got)
	}
}

// TestFrozenShims stops two shims, so that they answer nobody: the next daemon kills
// them and says so.
func TestFrozenShims(t *testing.T) {
	h := newHome(t)
	url := h.serve("web", "--pause-after", "never")
	h.ok(words("instance start --name two --pause-after never -- sleep infinity")...)
	for _, p := range h.processes() {
		if strings.HasSuffix(strings.TrimSpace(p.args), "aegis-shim") {
			if err := syscall.Kill(p.pid, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
		}
	}
	h.end(syscall.SIGKILL)
	began := time.Now()
	h.ok("up")
	if took := time.Since(began); took > adopted {
		t.Errorf("the daemon took %s to be up", took)
	}
	h.died("web", "did not answer")
	h.died("two", "did not answer")
	h.page(url, "page of web\n")
}

// TestRunWithoutRecord leaves a live VM, a dead run and an instance's directory that
// the registry does not know: all three go.
func TestRunWithoutRecord(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.serve("web", "--pause-after", "never")
	h.ok(words("instance start --name other -- true")...) // an empty registry would count as lost
	h.end(syscall.SIGKILL)
	h.sql(`DELETE FROM instances WHERE name = 'web'`)
	for _, path := range []string{"run/run-stranger/shim.sock", "run/run-stranger/exit.json", "instances/inst-stranger/disk.ext4", "tmp-workspaces/inst-stranger/file"} {
		h.write(filepath.Join(h.dir, path), "stale")
	}
	h.ok("up")
	if out := h.ok("instance", "list"); strings.Contains(out, "web") || !strings.Contains(out, "other") {
		t.Errorf("list: %s", out)
	}
	h.eventually(2*time.Second, "nothing is left", func() error {
		if left, runs := h.processes(), h.runs(); len(left) != 1 || len(runs) != 0 {
			return fmt.Errorf("processes %v, runs %v", left, runs)
		}
		return nil
	})
	h.ok(words("instance delete --force other")...)
	h.bare()
	if _, err := os.Stat(filepath.Join(h.cwd, "web", "index.html")); err != nil {
		t.Errorf("the workspace: %v", err)
	}
}

// TestRecordWithoutDirectory takes the directories away that a record counts on. A
// life whose run directory is gone can be reached by nobody, and ends; an
// instance whose disk is gone starts with an empty one.
func TestRecordWithoutDirectory(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	url := h.serve("web", "--pause-after", "never")
	h.ok("exec", "web", "--", "sh", "-c", "echo lost > /root/lost && sync")
	h.end(syscall.SIGKILL)
	for _, dir := range h.runs() {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	h.ok("up")
	h.died("web", "its VM was gone when the daemon came back")
	h.page(url, "page of web\n")
	if got := h.ok(words("exec web -- cat /root/lost")...); got != "lost\n" {
		t.Errorf("the disk: %q", got)
	}

	h.ok(words("instance stop web")...)
	if err := os.RemoveAll(filepath.Join(h.dir, "instances", h.info("web").ID)); err != nil {
		t.Fatal(err)
	}
	h.ok(words("instance start --name web")...)
	h.page(url, "page of web\n")
	if r := h.run("", "exec", "web", "--", "cat", "/root/lost"); r.code != 1 {
		t.Errorf("of a disk that is gone: %+v", r)
	}
}

// TestLockIsHeld is a home that somebody holds and who does not answer.
func TestLockIsHeld(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	lock, err := os.Create(filepath.Join(h.dir, "aegisd.lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	h.refuses(refusal{"", 1, `start the daemon: another one runs for ` + h.dir, "fuser -v " + h.dir + "/aegisd.lock", words("ps")})
	lock.Close()
	h.ok("ps")
}
