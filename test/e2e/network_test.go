package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The plan of the test's internet. The addresses are public ones, and lead nowhere
// but into a namespace.
const (
	webAddr = "93.184.216.34" // of web.test
	lanAddr = "10.77.0.1"     // of lan.test
	ownAddr = "93.184.217.2"  // the host's
	hopAddr = "93.184.217.1"
)

// world is a script that makes a host and, behind it, an internet with a web server,
// each in a network namespace, and a resolv.conf that leads there. It prints "ready"
// and then lives until its input ends.
const world = `set -e
mount --make-rprivate /
printf 'nameserver %[1]s\nsearch corp.test\n' > "$0/resolv.conf"
cp /etc/hosts "$0/hosts"; printf '%[1]s listed.hosts.test\n' >> "$0/hosts"
mount --bind "$0/resolv.conf" /etc/resolv.conf
mount --bind "$0/hosts" /etc/hosts
ip link set lo up
mkfifo "$0/quit"
unshare -n sh -c 'touch "$0/there"; cat "$0/quit" > /dev/null' "$0" & far=$!
while [ ! -e "$0/there" ]; do sleep 0.02; done
ip link add host0 type veth peer name far0 netns $far
ip addr add %[3]s/30 dev host0
ip link set host0 up
ip route add default via %[4]s
nsenter -t $far -n sh -ec 'ip link set lo up; ip addr add %[4]s/30 dev far0; ip link set far0 up; ip addr add %[1]s/32 dev lo; ip addr add %[2]s/32 dev lo'
python3 "$0/server.py" %[3]s 8000 & a=$!
nsenter -t $far -n python3 "$0/server.py" 0.0.0.0 80 dns & b=$!
while [ ! -e "$0/up-8000" ] || [ ! -e "$0/up-80" ]; do sleep 0.02; done
echo ready
cat > /dev/null
kill $a $b; echo > "$0/quit"
`

// server is the web and, where asked for, the name server of the test's internet.
const server = `import http.server, os, socket, struct, sys, threading
dir = os.path.dirname(os.path.abspath(__file__))
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b"x" * (8 << 20) if self.path == "/big" else b"hello from outside\n"
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *a): pass
zone = {b"web.test": "93.184.216.34", b"web.corp.test": "93.184.216.34", b"lan.test": "10.77.0.1", b"meta.test": "169.254.169.254", b"own.test": "93.184.217.2"}
def dns():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("93.184.216.34", 53))
    while True:
        q, peer = s.recvfrom(4096)
        labels, i = [], 12
        while q[i]: labels.append(q[i+1:i+1+q[i]]); i += 1 + q[i]
        kind = struct.unpack(">H", q[i+1:i+3])[0]
        name = b".".join(labels).lower()
        found = zone.get(name) if kind == 1 else None
        code = 0 if name in zone else 3
        r = q[:2] + struct.pack(">HHHHH", 0x8180 | code, 1, 1 if found else 0, 0, 0) + q[12:i+5]
        if found: r += b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton(found)
        s.sendto(r, peer)
def echo():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("93.184.216.34", 7))
    while True:
        b, peer = s.recvfrom(4096); s.sendto(b, peer)
if len(sys.argv) > 3:
    threading.Thread(target=dns, daemon=True).start(); threading.Thread(target=echo, daemon=True).start()
web = http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Page)
open(dir + "/up-" + sys.argv[2], "w").close()
web.serve_forever()
`

// online gives the home a host of its own in such a world: every command of it, and
// so its daemon, runs there.
func (h *home) online() {
	h.t.Helper()
	if os.Getuid() != 0 {
		h.t.Skip("pending: the test's internet needs root for its namespaces")
	}
	for _, tool := range []string{"unshare", "nsenter", "ip", "python3"} {
		if _, err := exec.LookPath(tool); err != nil {
			h.t.Skip("pending: " + err.Error())
		}
	}
	dir, err := os.MkdirTemp("", "aegis-world-")
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { os.RemoveAll(dir) })
	h.write(filepath.Join(dir, "server.py"), server)
	cmd := exec.Command("unshare", "-nm", "sh", "-c", fmt.Sprintf(world, webAddr, lanAddr, ownAddr, hopAddr), dir)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		h.t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		h.t.Skip("pending: no namespaces: " + err.Error())
	}
	h.t.Cleanup(func() {
		h.run("", "down")
		h.within = nil
		stdin.Close()
		cmd.Wait()
	})
	if n, _ := stdout.Read(make([]byte, 16)); n == 0 {
		h.t.Fatal("the test's internet did not come up")
	}
	h.within = []string{"nsenter", "-t", fmt.Sprint(cmd.Process.Pid), "-n", "-m", "--wd=" + h.cwd}
}

// fetch is a line of shell that prints a page, or how it was not reached.
func fetch(url string) string {
	return "curl -sS -m 20 -o /tmp/page " + url + " 2>&1 && cat /tmp/page; "
}

func TestNetwork(t *testing.T) {
	h := newHome(t)
	h.online()
	t.Run("public", func(t *testing.T) { publicNetwork(t, h.of(t)) })
	t.Run("lan", func(t *testing.T) {
		h := h.of(t)
		got := h.run("", "run", "--net", "lan", "--", "sh", "-c", fetch("http://lan.test/")+fetch("http://"+ownAddr+":8000/")).stdout
		if !strings.HasPrefix(got, page) || !strings.Contains(got, "connect to "+ownAddr) {
			t.Errorf("%q", got)
		}
	})
	t.Run("none", func(t *testing.T) {
		h := h.of(t)
		got := h.run("", "run", "--net", "none", "--", "sh", "-c", "ls /sys/class/net; cat /proc/net/route; "+fetch("http://"+webAddr+"/")).stdout
		if strings.Contains(got, "eth0") || strings.Contains(got, page) {
			t.Errorf("%q", got)
		}
	})
	t.Run("allow-list", func(t *testing.T) {
		h := h.of(t)
		got := h.run("", "run", "--allow-host", "web.test", "--allow-cidr", "10.77.0.0/24", "--", "sh", "-c",
			fetch("http://"+webAddr+"/")+fetch("http://web.test/")+fetch("http://"+lanAddr+"/")+fetch("http://lan.test/")).stdout
		lines := strings.Split(strings.TrimSpace(got), "\n")
		if len(lines) != 4 || !strings.Contains(lines[0], "onnect") || lines[1]+"\n" != page || lines[2]+"\n" != page || !strings.Contains(lines[3], "resolve") {
			t.Errorf("%q", lines)
		}
	})
	t.Run("activity", func(t *testing.T) {
		h := h.of(t)
		h.ok("instance", "start", "--name", "busy", "--pause-after", "3s", "--", "sh", "-c", "for i in $(seq 12); do curl -s -o /dev/null http://"+webAddr+"/; sleep 1; done; sleep 3600")
		awake := false
		h.eventually(60*time.Second, "it says that the network keeps it awake", func() error {
			info := h.info("busy")
			awake = strings.Contains(strings.Join(info.AwakeBecause, " "), "guest network")
			if !awake {
				return fmt.Errorf("%s, %v", info.State, info.AwakeBecause)
			}
			return nil
		})
		h.state("busy", "PAUSED", 90*time.Second)
		h.ok("instance", "delete", "--force", "busy")
	})
}

// page is what the web server of the test's internet answers.
const page = "hello from outside\n"

// publicNetwork is what an instance reaches without any flag, and what not.
func publicNetwork(t *testing.T, h *home) {
	h.ok("instance", "start", "--name", "open", "--pause-after", "never")
	sh := func(script string) string { return h.run("", "exec", "open", "--", "sh", "-c", script).stdout }
	for _, url := range []string{webAddr, "web.test", "web", "listed.hosts.test"} {
		if got := sh(fetch("http://" + url + "/")); got != page {
			t.Errorf("%s: %q", url, got)
		}
	}
	for _, url := range []string{lanAddr, "lan.test", ownAddr + ":8000", "own.test:8000", "meta.test", "10.211.212.1:8000"} {
		if got := sh(fetch("http://" + url + "/")); !strings.Contains(got, "connect") && !strings.Contains(got, "Connect") {
			t.Errorf("%s: %q", url, got)
		}
	}
	if got := sh("curl -sS -m 60 http://web.test/big | wc -c"); strings.TrimSpace(got) != "8388608" {
		t.Errorf("a download of 8 MiB has %q bytes", got)
	}
	udp := `python3 -c 'import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(20); s.sendto(b"over udp", ("` + webAddr + `", 7)); print(s.recv(99))'`
	if got := sh(udp + " 2>&1"); !strings.Contains(got, "over udp") {
		t.Errorf("UDP: %q", got)
	}
	log := h.ok("logs", "open", "--stream", "system")
	for _, line := range []string{"denied tcp " + lanAddr + ":80 (private)", "denied tcp " + ownAddr + ":8000 (host)", "denied tcp 169.254.169.254:80 (metadata)"} {
		if !strings.Contains(log, line) {
			t.Errorf("the log lacks %q:\n%s", line, log)
		}
	}
	h.ok("instance", "delete", "--force", "open")
}

// of is the same home for a subtest.
func (h *home) of(t *testing.T) *home {
	sub := *h
	sub.t = t
	return &sub
}
