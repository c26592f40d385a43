package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aegis/client"
)

func TestNetwork(t *testing.T) {
	h := newHome(t)
	h.online(asRoot)
	h.program("probe.py")
	paused := pauseWithConnection(h)
	h.ok("instance", "start", "--name", "open", "--pause-after", "never", "--workspace", "./app", "-e", "GIVEN=http://given.test:3128/")
	for _, part := range []struct {
		name string
		test func(*testing.T, *home)
	}{
		{"public", publicNetwork},
		{"probe", probeNetwork},
		{"told", networkIsTold},
		{"settings", networkSettings},
		{"apart", apart},
		{"lan", lanNetwork},
		{"none", noNetwork},
		{"allow-list", allowList},
		{"activity", networkIsActivity},
		{"pause", paused.survives},
	} {
		t.Run(part.name, func(t *testing.T) { part.test(t, h.in(t)) })
	}
	h.ok("instance", "delete", "--force", "open")
}

// TestNetworkAsUser is the same as a user who may not make an interface or a rule.
func TestNetworkAsUser(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.online(asUser)
	h.program("probe.py")
	h.ok("instance", "start", "--name", "open", "--pause-after", "never", "--workspace", "./app")
	t.Run("public", func(t *testing.T) { publicNetwork(t, h.in(t)) })
	t.Run("probe", func(t *testing.T) { probeNetwork(t, h.in(t)) })
	t.Run("allow-list", func(t *testing.T) { allowList(t, h.in(t)) })
	h.ok("instance", "delete", "--force", "open")
}

// program puts a program of testdata/guest into the workspace ./app.
func (h *home) program(name string) {
	h.t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata/guest", name))
	if err != nil {
		h.t.Fatal(err)
	}
	h.write(filepath.Join(h.cwd, "app", name), string(text))
}

// sh runs a script in an instance and gives what it prints.
func (h *home) sh(name, script string) string {
	return h.run("", "exec", name, "--", "sh", "-c", script).stdout
}

// publicNetwork is what an instance reaches without any flag, and what not.
func publicNetwork(t *testing.T, h *home) {
	for _, url := range []string{webAddr, "web.test", "web", "listed.hosts.test"} {
		if got := h.sh("open", fetch("http://"+url+"/")); got != page {
			t.Errorf("%s: %q", url, got)
		}
	}
	for _, url := range []string{lanAddr, "lan.test", ownAddr + ":8000", "[" + own6Addr + "]:8000", "own.test:8000", "meta.test", "10.211.212.1:8000"} {
		if got := h.sh("open", fetch("http://"+url+"/")); !strings.Contains(got, "connect") && !strings.Contains(got, "Connect") {
			t.Errorf("%s: %q", url, got)
		}
	}
	if got := h.sh("open", "curl -sS -m 60 http://web.test/8388608.bytes | wc -c"); strings.TrimSpace(got) != "8388608" {
		t.Errorf("a download of 8 MiB has %q bytes", got)
	}
	log := h.ok("logs", "open", "--stream", "system")
	for _, line := range []string{"denied tcp " + lanAddr + ":80 (private)", "denied tcp " + ownAddr + ":8000 (host)", "denied tcp 169.254.169.254:80 (metadata)"} {
		if !strings.Contains(log, line) {
			t.Errorf("the log lacks %q:\n%s", line, log)
		}
	}
}

// probeNetwork is what needs a program: echo requests, IPv6, UDP, DNS over TCP,
// destinations that do not answer, and that a guest is alone on its network.
func probeNetwork(t *testing.T, h *home) {
	r := h.run("", "exec", "open", "--", "python3", "probe.py", webAddr, web6Addr)
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
	for _, name := range []string{"echo", "echo6", "tcp6", "udp", "dns-tcp", "black-holes", "alone"} {
		if !slices.Contains(lines, name+" ok") {
			t.Errorf("%s is not ok: %s%s", name, r.stdout, r.stderr)
		}
	}
}

// networkIsTold reads what the rows before have left in events and figures.
func networkIsTold(t *testing.T, h *home) {
	denied := map[string]client.Denial{}
	for line := range strings.Lines(h.ok("events")) {
		var e client.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e.Event == "denied" && e.Name == "open" && e.Denied != nil {
			denied[e.Denied.Target] = *e.Denied
		}
	}
	if d := denied[lanAddr+":80"]; d.Network != "tcp" || d.Class != "private" || d.Why == "" {
		t.Errorf("events of denials: %+v", denied)
	}
	var all []struct{ Net *client.NetUse }
	if err := json.Unmarshal([]byte(h.ok("stats", "open", "--json")), &all); err != nil || len(all) != 1 || all[0].Net == nil {
		t.Fatalf("%+v, %v", all, err)
	}
	if n := all[0].Net; n.Received < 8<<20 || n.Sent < 1000 || n.Queries < 5 || n.Denied < 5 {
		t.Errorf("%+v", *n)
	}
}

// networkSettings are resolv.conf, and that a host's variables stay there.
func networkSettings(t *testing.T, h *home) {
	h.env = append(slices.Clone(h.env), "http_proxy=http://host.test:3128/", "HTTPS_PROXY=http://host.test:3128/")
	got := h.sh("open", "grep -v ^# /etc/resolv.conf; env | grep -i proxy; echo $GIVEN")
	if want := "nameserver 10.211.212.1\nsearch corp.test\nhttp://given.test:3128/\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// apart holds that one instance gets nothing of another.
func apart(t *testing.T, h *home) {
	h.ok("instance", "start", "--name", "other", "--pause-after", "never", "--workspace", "./app", "--", "python3", "-m", "http.server", "9000")
	defer h.run("", "instance", "delete", "--force", "other")
	h.eventually(time.Minute, "the other one serves", func() error {
		if got := h.sh("other", "curl -sS -m 5 http://127.0.0.1:9000/ 2>&1"); !strings.Contains(got, "probe.py") {
			return fmt.Errorf("%s", got)
		}
		return nil
	})
	if got := h.sh("open", "curl -sSZ -m 5 http://10.211.212.[0-3]:9000/ 2>&1"); strings.Contains(got, "probe.py") {
		t.Errorf("%s", got)
	}
}

// paused is an instance that was paused with an open connection.
type paused struct {
	since  time.Time
	client <-chan result
}

// pauseWithConnection pauses one whose peer goes on.
func pauseWithConnection(h *home) paused {
	read := `import socket
s = socket.create_connection(("` + webAddr + `", 9)); f = s.makefile("rw")
print("connected", f.readline().strip(), flush=True)
n = 1 + sum(1 for _ in zip(range(39), f))
f.write("still there\n"); f.flush()
print(n, f.readline().strip())`
	h.ok("instance", "start", "--name", "paused", "--pause-after", "never")
	done := make(chan result, 1)
	go func() { done <- h.runFor(3*commandTime, "", "exec", "paused", "--", "python3", "-c", read) }() // all other parts are in between
	h.eventually(time.Minute, "it is connected", func() error {
		if !strings.Contains(h.ok("logs", "paused", "--stream", "stdout"), "connected 0") {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	h.ok("instance", "pause", "paused")
	return paused{time.Now(), done}
}

// survives resumes it after a minute and more; the peer has sent for ten seconds of it.
func (p paused) survives(t *testing.T, h *home) {
	time.Sleep(time.Until(p.since.Add(time.Minute))) // nearly over: the other parts take longer
	h.ok("instance", "resume", "paused")
	if r := <-p.client; r.stdout != "connected 0\n40 still there\n" {
		t.Errorf("%q %q", r.stdout, r.stderr)
	}
	h.ok("instance", "delete", "--force", "paused")
}

func lanNetwork(t *testing.T, h *home) {
	got := h.run("", "run", "--net", "lan", "--", "sh", "-c", fetch("http://lan.test/")+fetch("http://"+ownAddr+":8000/")).stdout
	if !strings.HasPrefix(got, page) || !strings.Contains(got, "connect to "+ownAddr) {
		t.Errorf("%q", got)
	}
}

func noNetwork(t *testing.T, h *home) {
	serve(h, "shut", "--net", "none")
	got := h.sh("shut", "ls /sys/class/net; cat /proc/net/route; "+fetch("http://"+webAddr+"/"))
	if strings.Contains(got, "eth0") || strings.Contains(got, page) {
		t.Errorf("%q", got)
	}
	isServed(h, "shut")
	h.ok("instance", "delete", "--force", "shut")
}

func allowList(t *testing.T, h *home) {
	serve(h, "listed", "--allow-host", "web.test", "--allow-cidr", "10.77.0.0/24")
	got := h.sh("listed", fetch("http://"+webAddr+"/")+fetch("http://web.test/")+fetch("http://"+lanAddr+"/")+fetch("http://lan.test/"))
	lines := strings.Split(strings.TrimSpace(got), "\n")
	if len(lines) != 4 || !strings.Contains(lines[0], "onnect") || lines[1]+"\n" != page || lines[2]+"\n" != page || !strings.Contains(lines[3], "resolve") {
		t.Errorf("%q", lines)
	}
	isServed(h, "listed")
	h.ok("instance", "delete", "--force", "listed")
}

// serve starts an instance whose application listens on its loopback, with these flags.
func serve(h *home, name string, flags ...string) {
	args := append([]string{"instance", "start", "--name", name, "--expose", "9000", "--pause-after", "never"}, flags...)
	h.ok(append(args, "--", "python3", "-m", "http.server", "--bind", "127.0.0.1", "--directory", "/etc/apt", "9000")...)
}

// isServed holds that the router reaches it, whatever the instance itself may reach.
func isServed(h *home, name string) {
	url := h.info(name).Ports[0].URL
	const get = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=60).read().decode())"
	line := append(slices.Clone(h.within), "python3", "-c", get, url)
	got, err := exec.Command(line[0], line[1:]...).CombinedOutput()
	if err != nil || !strings.Contains(string(got), "sources.list") {
		h.t.Errorf("%s at %s: %v %s", name, url, err, got)
	}
}

func networkIsActivity(t *testing.T, h *home) {
	h.ok("instance", "start", "--name", "busy", "--pause-after", "3s", "--", "sh", "-c", "for i in $(seq 6); do curl -s -o /dev/null http://"+webAddr+"/; sleep 1; done; sleep 3600")
	h.eventually(60*time.Second, "it says that the network keeps it awake", func() error {
		info := h.info("busy")
		if !strings.Contains(strings.Join(info.AwakeBecause, " "), "guest network") {
			return fmt.Errorf("%s, %v", info.State, info.AwakeBecause)
		}
		return nil
	})
	h.state("busy", "PAUSED", 90*time.Second)
	h.ok("instance", "delete", "--force", "busy")
}
