package qemu

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"aegis/internal/confine"
)

// aims are what an attack aims at: they are the caller's, and the monitor has no
// business with them.
type aims struct {
	dir  string
	here map[string]any // the names in an attack's arguments

	reached *atomic.Int64 // connections that came
}

// attack is a command of the monitor's protocol that would reach the host.
type attack struct {
	name string
	run  string // the command's name
	with string // its arguments, with names of aims in place of values: "$name"
	// alone is whether QEMU does it when nothing confines it: what an attack that
	// fails anyhow proves is little.
	alone bool
}

// attacks are tried one after another. Each makes what it makes under a name of its own.
var attacks = []attack{
	{"read a file as a disk", "blockdev-add", `{"driver":"file","node-name":"read","filename":"$file","read-only":true}`, true},
	{"write a file as a disk", "blockdev-add", `{"driver":"file","node-name":"write","filename":"$file"}`, true},
	{"a host's disk", "blockdev-add", `{"driver":"host_device","node-name":"device","filename":"/dev/vda","read-only":true}`, false},
	{"a directory as a disk", "blockdev-add", `{"driver":"vvfat","node-name":"tree","dir":"$dir","read-only":true}`, true},
	{"a disk over a socket", "blockdev-add", `{"driver":"nbd","node-name":"nbd","server":{"type":"unix","path":"$socket"}}`, false},
	{"a disk over TCP", "blockdev-add", `{"driver":"nbd","node-name":"nbd2","server":{"type":"inet","host":"127.0.0.1","port":"$port"}}`, false},
	{"a disk over HTTP", "blockdev-add", `{"driver":"http","node-name":"http","url":"http://127.0.0.1:$port/"}`, false},
	{"make a file as a disk", "blockdev-create", `{"job-id":"create","options":{"driver":"file","filename":"$new1","size":4096}}`, true},
	{"a snapshot", "blockdev-snapshot-sync", `{"node-name":"disk0","snapshot-file":"$new2","snapshot-node-name":"snap"}`, true},
	{"a backup", "drive-backup", `{"job-id":"backup","device":"disk0","sync":"full","format":"raw","target":"$new3"}`, true},
	{"a mirror", "drive-mirror", `{"job-id":"mirror","device":"disk0","sync":"full","format":"raw","target":"$new4"}`, true},
	{"export disks over a socket", "nbd-server-start", `{"addr":{"type":"unix","data":{"path":"$new5"}}}`, true},
	{"export a disk by FUSE", "block-export-add", `{"type":"fuse","id":"fuse","node-name":"disk0","mountpoint":"$file"}`, false},
	{"write a file as a port", "chardev-add", `{"id":"file","backend":{"type":"file","data":{"out":"$new6"}}}`, true},
	{"read a file as a port", "chardev-add", `{"id":"input","backend":{"type":"file","data":{"out":"/dev/null","in":"$file"}}}`, true},
	{"a terminal as a port", "chardev-add", `{"id":"pty","backend":{"type":"pty","data":{}}}`, true},
	{"a device as a port", "chardev-add", `{"id":"tty","backend":{"type":"serial","data":{"device":"/dev/tty"}}}`, false},
	{"dial a socket", "chardev-add", `{"id":"unix","backend":{"type":"socket","data":{"server":false,"addr":{"type":"unix","data":{"path":"$socket"}}}}}`, true},
	{"dial an abstract socket", "chardev-add", `{"id":"abstract","backend":{"type":"socket","data":{"server":false,"addr":{"type":"unix","data":{"path":"$abstract","abstract":true}}}}}`, true},
	{"dial TCP", "chardev-add", `{"id":"tcp","backend":{"type":"socket","data":{"server":false,"addr":{"type":"inet","data":{"host":"127.0.0.1","port":"$port"}}}}}`, true},
	{"dial the VM's bus", "chardev-add", `{"id":"vsock","backend":{"type":"socket","data":{"server":false,"addr":{"type":"vsock","data":{"cid":"2","port":"1024"}}}}}`, false},
	{"listen on TCP", "chardev-add", `{"id":"listen","backend":{"type":"socket","data":{"server":true,"wait":false,"addr":{"type":"inet","data":{"host":"127.0.0.1","port":"0"}}}}}`, true},
	{"listen on a socket", "chardev-add", `{"id":"listen2","backend":{"type":"socket","data":{"server":true,"wait":false,"addr":{"type":"unix","data":{"path":"$new7"}}}}}`, true},
	{"send datagrams", "chardev-add", `{"id":"udp","backend":{"type":"udp","data":{"remote":{"type":"inet","data":{"host":"127.0.0.1","port":"$port"}}}}}`, true},
	{"dump the memory", "dump-guest-memory", `{"paging":false,"protocol":"file:$new8"}`, true},
	{"save memory", "pmemsave", `{"val":0,"size":4096,"filename":"$new9"}`, true},
	{"save mapped memory", "memsave", `{"val":1048576,"size":4096,"filename":"$new10"}`, true},
	{"a screen's picture", "screendump", `{"filename":"$new11"}`, false},
	{"migrate to a program", "migrate", `{"uri":"exec:cat > $new12"}`, false}, // -sandbox refuses it
	{"migrate to a socket", "migrate", `{"uri":"unix:$socket"}`, true},
	{"migrate over TCP", "migrate", `{"uri":"tcp:127.0.0.1:$port"}`, true},
	{"migrate to a file", "migrate", `{"uri":"file:$new13"}`, false}, // from 8.2 on
	{"migrate to no descriptor", "migrate", `{"uri":"fd:none"}`, false},
	{"a descriptor that nobody passed", "getfd", `{"fdname":"none"}`, false},
	{"another that nobody passed", "add-fd", `{"fdset-id":99}`, false},
	{"a network's program", "netdev_add", `{"type":"tap","id":"tap","script":"$file"}`, false},
	{"a network's helper", "netdev_add", `{"type":"bridge","id":"bridge","br":"br0"}`, false},
	{"a network of a socket", "netdev_add", `{"type":"socket","id":"socket","connect":"127.0.0.1:$port"}`, true},
	{"a network of the user's", "netdev_add", `{"type":"user","id":"user","hostfwd":[{"str":"tcp:127.0.0.1:0-:22"}]}`, true},
	{"a file as a secret", "object-add", `{"qom-type":"secret","id":"secret","file":"$file"}`, true},
	{"a file as memory", "object-add", `{"qom-type":"memory-backend-file","id":"memory","size":4096,"mem-path":"$new15","share":true}`, true},
	{"a file of random bytes", "object-add", `{"qom-type":"rng-random","id":"random","filename":"$file"}`, true},
	{"a network's traffic to a file", "object-add", `{"qom-type":"filter-dump","id":"traffic","netdev":"net0","file":"$new16"}`, true},
	{"a list of users from a file", "object-add", `{"qom-type":"authz-list-file","id":"users","filename":"$file","refresh":false}`, false},
	{"an input device", "object-add", `{"qom-type":"input-linux","id":"keys","evdev":"/dev/input/event0"}`, false},
	{"a file in the guest's memory", "device_add", `{"driver":"loader","file":"$file","addr":1048576,"force-raw":true}`, false},
	{"the kernel's sockets to the guest", "device_add", `{"driver":"vhost-vsock-device","guest-cid":77}`, false},
}

// lines are attacks by the other language of the monitor, whose refusals are texts:
// what counts is what they leave. Those that start a program come last: QEMU's own
// filter ends it then.
var lines = []string{
	"dump-guest-memory $line1", "migrate -d tcp:127.0.0.1:$port", `pmemsave 0 4096 "$line2"`, "logfile $line3", "log guest_errors,cpu_reset,int",
	"gdbserver tcp::0", "drive_add 0 if=none,file=$file,id=line", "chardev-add file,id=line,path=$line4",
	"chardev-add socket,id=line2,host=127.0.0.1,port=$port", "netdev_add socket,id=line3,listen=127.0.0.1:0",
	"object_add memory-backend-file,id=line4,size=4096,mem-path=$line5,share=on", "nbd_server_start -a 127.0.0.1:0",
	"savevm line", "screendump $line7", "getfd none", "migrate exec:touch\\ $line8",
}

// TestHostileMonitor gives the monitor's control connection to an attacker, on each rung:
// files, programs, sockets and dumps are refused, and the host is as it was.
func TestHostileMonitor(t *testing.T) {
	for _, rung := range confine.Rungs[:3] {
		t.Run(string(rung), func(t *testing.T) {
			t.Parallel()
			a := newAims(t)
			m := startHostile(t, rung, a)
			for _, attack := range attacks {
				switch why := m.try(t, a, attack); why {
				case "":
					t.Errorf("%s: QEMU did it", attack.name)
				case ended:
					m = startHostile(t, rung, a)
				}
			}
			m.unchanged(t)
			for _, line := range lines {
				if _, why := m.ask("human-monitor-command", map[string]any{"command-line": a.fill(line)}); why == ended {
					m = startHostile(t, rung, a)
				}
				m.unchanged(t)
			}
			a.unharmed(t)
		})
	}
}

// TestHostileMonitorAlone holds that the attacks are real: QEMU does them when nothing
// confines it.
func TestHostileMonitorAlone(t *testing.T) {
	for _, attack := range attacks {
		if !attack.alone {
			continue
		}
		a := newAims(t)
		if why := startHostile(t, confine.Off, a).try(t, a, attack); why != "" && a.reached.Load() == 0 {
			t.Errorf("%s: %s", attack.name, why)
		}
	}
	a := newAims(t)
	m := startHostile(t, confine.Off, a)
	for _, line := range lines[:len(lines)-1] {
		m.ask("human-monitor-command", map[string]any{"command-line": a.fill(line)})
	}
	for i := range 5 {
		if _, err := os.Stat(a.fill(fmt.Sprintf("$line%d", i+1))); err != nil {
			t.Error(err)
		}
	}
	if a.reached.Load() == 0 {
		t.Error("no line has dialled")
	}
}

func newAims(t *testing.T) *aims {
	t.Helper()
	a := &aims{dir: t.TempDir()}
	a.here = map[string]any{"dir": a.dir, "file": filepath.Join(a.dir, "file"), "abstract": a.dir}
	if err := os.WriteFile(a.here["file"].(string), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	a.listening(t)
	return a
}

const content = "what the host keeps to itself"

// fill puts the aims into a text.
func (a *aims) fill(text string) string {
	return os.Expand(text, func(name string) string {
		if value, ok := a.here[name]; ok {
			return fmt.Sprint(value)
		}
		return filepath.Join(a.dir, name)
	})
}

// unharmed holds that the directory has what it had, and that nobody came.
func (a *aims) unharmed(t *testing.T) {
	t.Helper()
	entries, err := os.ReadDir(a.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != "file" && e.Name() != "socket" {
			t.Errorf("there is %q", e.Name())
		}
	}
	if body, err := os.ReadFile(a.here["file"].(string)); err != nil || string(body) != content {
		t.Errorf("the file has %q, %v", body, err)
	}
	if n := a.reached.Load(); n != 0 {
		t.Errorf("%d connections came", n)
	}
}

// captive is a QEMU whose control connection we have.
type captive struct {
	pid    int
	conn   net.Conn
	in     *json.Decoder
	before []string // what its descriptors were of
}

// reply is what it says.
type reply struct {
	Return json.RawMessage
	Error  *struct{ Desc string }
}

// ended is why a monitor says nothing any more.
const ended = "it has ended"

// ask sends a command and waits for its reply: what it returns, or why not.
func (m *captive) ask(command string, args any) (json.RawMessage, string) {
	m.conn.SetDeadline(time.Now().Add(time.Minute))
	body := map[string]any{"execute": command}
	if args != nil {
		body["arguments"] = args
	}
	if err := json.NewEncoder(m.conn).Encode(body); err != nil {
		return nil, ended
	}
	for {
		var r reply // or an event
		if err := m.in.Decode(&r); errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, ""
		} else if err != nil {
			return nil, ended
		}
		switch {
		case r.Error != nil:
			return nil, r.Error.Desc
		case r.Return != nil:
			return r.Return, ""
		}
	}
}

// try is why the monitor did not do it, or "".
func (m *captive) try(t *testing.T, a *aims, x attack) string {
	t.Helper()
	_, why := m.ask(x.run, json.RawMessage(a.fill(x.with)))
	if why == "" {
		why = m.later(t, x.run)
	}
	return why
}

// later waits for the end of what goes on after the reply, and is why it failed.
func (m *captive) later(t *testing.T, command string) string {
	t.Helper()
	question := map[string]string{"migrate": "query-migrate", "blockdev-create": "query-jobs", "drive-backup": "query-jobs", "drive-mirror": "query-jobs"}[command]
	for question != "" {
		answer, why := m.ask(question, nil)
		if why != "" {
			return why
		}
		answer = []byte(strings.Trim(string(answer), "[]")) // there is one job at most
		var state struct {
			Status, ID string
			Error      string
			Desc       string `json:"error-desc"`
		}
		if len(answer) == 0 {
			return ""
		}
		if err := json.Unmarshal(answer, &state); err != nil {
			t.Fatalf("%s: %v", answer, err)
		}
		switch state.Status {
		case "concluded":
			m.ask("job-dismiss", map[string]any{"id": state.ID})
			return state.Error
		case "failed":
			return state.Desc
		case "active", "completed", "ready":
			return ""
		}
		time.Sleep(time.Millisecond)
	}
	return ""
}

// unchanged holds that it has opened nothing.
func (m *captive) unchanged(t *testing.T) {
	t.Helper()
	for _, file := range m.open(t) {
		if !slices.Contains(m.before, file) && !strings.HasPrefix(file, "anon_inode:") {
			t.Errorf("QEMU has opened %q", file)
		}
	}
}

// open is what its descriptors are of.
func (m *captive) open(t *testing.T) []string {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", m.pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		if name, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil {
			out = append(out, name)
		}
	}
	return out
}
