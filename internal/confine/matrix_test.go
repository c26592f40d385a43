//go:build linux

package confine

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"text/tabwriter"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestMatrix lets a probe take the place of the monitor and of each helper, on each
// rung, as root and as an ordinary user, and holds that it is allowed what
// docs/security.md says and nothing else. It prints what happened.
func TestMatrix(t *testing.T) {
	plain(t)
	open, program, dir := gaps(t), worldProgram(t), worldDir(t)
	var table matrix
	for _, uid := range users() {
		aim := aimFor(t, uid)
		for _, kind := range []string{kindVMM, kindAPI, kindLib, kindFS, kindNet, kindOpen} {
			for _, rung := range Rungs[:3] {
				t.Run(fmt.Sprintf("%s/%s/%d", kind, rung, uid), func(t *testing.T) {
					reached(t, rung, dir)
					got := launch(t, program, uid, kind, rung, aim)
					table.add(t.Name(), got)
					judge(t, got, open[kind+" "+string(rung)])
				})
			}
		}
	}
	t.Log("\n" + table.String())
}

// TestMatrixSees holds that the probes find an open door where there is one: all that a
// user may do who is not confined. It is not run as root, who may do everything.
func TestMatrixSees(t *testing.T) {
	all := users()
	uid := all[len(all)-1]
	aim := aimFor(t, uid)
	got := launch(t, worldProgram(t), uid, kindNet, Off, aim)
	for _, name := range []string{"read a file", "write a file", "make a file", "list a directory", "stat a file", "read a link",
		"chmod a file", "chown a file", "set a file's times", "truncate a file", "rename a file", "remove a file", "watch a file", "list its attributes", "leave by ..",
		"open the root", "TCP", "UDP", "netlink", "unix socket by path", "abstract unix socket", "unix datagram",
		"another way by a passed socket", "the same by a message", "connect a passed socket anew", "an option of a passed socket",
		"signal a process", "signal it by a descriptor", "its limits", "its priority", "its processors", "open its status", "stat its directory",
		"a pidfd of it", "a new process", "one by clone3", "executable memory", "memory made executable", "shared memory", "a message queue", "a device file"} {
		if got[name] != allowed {
			t.Errorf("%s: %q", name, got[name])
		}
	}
	if got["a program"] != "" { // it became the other program, which says nothing
		t.Errorf("a program: %q", got["a program"])
	}
}

// TestSealed holds that a shim can start nothing any more and has no powers, as root and
// as an ordinary user, and keeps what it works with: with Landlock its own files alone.
func TestSealed(t *testing.T) {
	plain(t)
	program := worldProgram(t)
	files := []string{"read a file", "write a file", "make a file", "rename a file", "remove a file", "list a directory", "open the root", "leave by ..", "open its status"}
	for _, uid := range users() {
		for rung, mayFiles := range map[Rung]bool{NoLandlock: true, NoNamespaces: false} {
			t.Run(fmt.Sprint(rung, "/", uid), func(t *testing.T) {
				if !mayFiles {
					reached(t, rung, t.TempDir())
				}
				got := launch(t, program, uid, kindShim, rung, aimFor(t, uid))
				refused := sealedFrom
				kept := []string{"make a file in its directory", "TCP", "UDP", "netlink", "unix socket by path", "signal a process", "a pidfd of it"}
				if mayFiles {
					kept = append(kept, files...)
				} else {
					refused = slices.Concat(refused, files)
				}
				for _, name := range refused {
					if got[name] == allowed || got[name] == "" {
						t.Errorf("%s: %q", name, got[name])
					}
				}
				for _, name := range kept {
					if got[name] != allowed {
						t.Errorf("%s: %q", name, got[name])
					}
				}
			})
		}
	}
}

// sealedFrom are the probes that a sealed shim is refused, whoever its user is.
var sealedFrom = []string{"trace a process", "read its memory", "compare with it", "a new process", "one by clone3", "one in new namespaces", "new namespaces",
	"join a namespace", "mount", "mount anew", "take a mount", "chroot", "another user", "another group", "a capability", "a key", "a keyring", "io_uring", "BPF",
	"perf", "userfaultfd", "the kernel's log", "the clock", "executable memory", "memory made executable", "shared memory", "a message queue",
	"leave a core", "a program of memory", "a program", "chmod a file", "chown a file"}

// users are those that the tests can be: the one who runs them, and an ordinary one.
func users() []int {
	if os.Geteuid() == 0 {
		return []int{0, 1234}
	}
	return []int{os.Geteuid()}
}

// reached skips a test where the machine does not allow the rung. One that does, and
// then does not hold, is a failure.
func reached(t *testing.T, rung Rung, dir string) {
	t.Helper()
	switch f := attempt(rung, dir); {
	case f == nil:
	case f.Step == stepCheck:
		t.Fatalf("%s does not hold: %v", rung, f.Errno)
	default:
		t.Skipf("pending: this machine does not allow %s: %s: %v", rung, f.Step, f.Errno)
	}
}

// plain skips a test where this program is built with cgo.
func plain(t *testing.T) {
	t.Helper()
	if err := everywhere(unix.SYS_GETPID, 0, 0, 0); err != nil {
		t.Skipf("pending: threads that cgo may have made can't be confined, set CGO_ENABLED=0: %v", err)
	}
}

// judge compares results with what may be open, in both directions.
func judge(t *testing.T, got map[string]string, open []string) {
	t.Helper()
	for _, p := range probes {
		result, tried := got[p.name]
		switch may := slices.Contains(open, p.name); {
		case !tried || result == "":
			t.Errorf("%s: the probe ended there", p.name)
		case result == allowed && !may:
			t.Errorf("%s is allowed", p.name)
		case result != allowed && may:
			t.Errorf("%s is not allowed any more (%s): docs/security.md says it is", p.name, result)
		}
	}
}

// matrix is a column for each process, and a row for each probe.
type matrix struct {
	heads []string
	rows  map[string][]string
}

func (m *matrix) add(head string, got map[string]string) {
	if m.rows == nil {
		m.rows = map[string][]string{}
	}
	m.heads = append(m.heads, head)
	for _, p := range probes {
		m.rows[p.name] = append(m.rows[p.name], got[p.name])
	}
}

func (m *matrix) String() string {
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	for i, head := range m.heads {
		fmt.Fprintf(&out, "column %d: %s\n", i+1, head)
	}
	for _, p := range probes {
		fmt.Fprintln(w, p.name+"\t"+strings.Join(m.rows[p.name], "\t"))
	}
	w.Flush()
	return out.String()
}

// gaps reads the table of docs/security.md: which probes are allowed, by kind and rung.
func gaps(t *testing.T) map[string][]string {
	t.Helper()
	const begin, end = "<!-- matrix -->", "<!-- /matrix -->"
	page, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(page), begin)
	table, _, found := strings.Cut(table, end)
	if !found {
		t.Fatalf("docs/security.md has nothing between %s and %s", begin, end)
	}
	out := map[string][]string{}
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.ReplaceAll(strings.Trim(strings.TrimSpace(line), "|"), "`", ""), "|")
		if len(cells) != 3 {
			continue
		}
		for kind := range strings.SplitSeq(cells[1], ",") {
			for rung := range strings.SplitSeq(cells[2], ",") {
				key := strings.TrimSpace(kind) + " " + strings.TrimSpace(rung)
				for what := range strings.SplitSeq(cells[0], ",") {
					out[key] = append(out[key], strings.TrimSpace(what))
				}
			}
		}
	}
	return out
}

// launch starts the probe as that user, within what comes before, and gives its results
// by name.
func launch(t *testing.T, program string, uid int, kind string, rung Rung, aim target, within ...string) map[string]string {
	t.Helper()
	body, err := json.Marshal(aim)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, append(within, launchWord, probeWord, kind, string(rung), string(body))...)
	cmd.Dir, cmd.Env = "/", []string{}
	if uid != os.Geteuid() {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%s %s as %d: %v %s", kind, rung, uid, err, said.String())
	}
	got := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, result, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		got[name] = result
	}
	return got
}

// worldDir is a directory that every user can enter.
func worldDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "confine")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// worldProgram is this program, where every user can start it.
func worldProgram(t *testing.T) string {
	t.Helper()
	from, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	path := filepath.Join(worldDir(t), "probe")
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	if _, err := io.Copy(to, from); err != nil {
		t.Fatal(err)
	}
	return path
}

// aimFor makes what a probe of that user aims at: all of it is the user's own.
func aimFor(t *testing.T, uid int) target {
	t.Helper()
	dir := worldDir(t)
	aim := target{File: filepath.Join(dir, "file"), Socket: filepath.Join(dir, "socket"), Abstract: "@" + dir}
	for _, name := range []string{aim.File, aim.File + ".gone"} {
		if err := os.WriteFile(name, []byte("text"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("file", aim.File+".link"); err != nil {
		t.Fatal(err)
	}
	aim.Port, aim.Other, aim.Datagram = hears(t), hears(t), filepath.Join(dir, "datagram")
	heard, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: aim.Datagram})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { heard.Close() })
	unix.Setxattr(aim.File, "user.kept", []byte("x"), 0) // not every file system has them
	for _, name := range []string{aim.Socket, aim.Abstract} {
		l, err := net.Listen("unix", name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
	}
	victim := exec.Command("sleep", "600")
	if uid != os.Geteuid() {
		victim.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { victim.Process.Kill(); victim.Wait() })
	aim.PID, aim.Word = victim.Process.Pid, uintptr(unsafe.Pointer(&aim)) // any address: a refusal comes before
	for _, name := range []string{dir, aim.File, aim.File + ".gone", aim.Socket, aim.Datagram} {
		if err := os.Chown(name, uid, uid); err != nil && os.Geteuid() == 0 {
			t.Fatal(err)
		}
	}
	return aim
}

// hears is the port of a UDP socket.
func hears(t *testing.T) int {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: loopback[:]})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.LocalAddr().(*net.UDPAddr).Port
}
