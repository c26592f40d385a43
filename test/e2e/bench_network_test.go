package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// carrier is one way of a guest's frames to the internet.
type carrier struct {
	name  string
	home  *home
	pages series
	down  []float64 // bytes a second
	up    []float64
	many  []float64 // of all downloads together
	spent series    // processor time of a round: the monitor, and what is between it and the internet
	aside int       // a process that does not belong to the home; or 0
}

// measureNetwork compares three ways out of the same guest: Aegis's own, QEMU's user
// network, and passt. Those two are put in by an emulator that is a script: it
// gives the real one another -netdev. They are not confined, and ours is.
func measureNetwork(h *home, out *table) {
	w := newWorld(h.t, asRoot)
	real, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		h.t.Skip("pending: " + err.Error())
	}
	h.join(w, asRoot)
	carriers := []*carrier{{name: "Aegis", home: h}}
	if _, err := exec.LookPath("passt"); err != nil {
		fmt.Println("no passt here: scripts/deps bench installs it")
	} else {
		socket, pid := passt(h.t, w)
		c := carried(h.t, w, "passt", real, "stream,id=net0,server=off,addr.type=unix,addr.path="+socket)
		c.aside = pid
		carriers = append(carriers, c)
	}
	// The addresses of internal/netstack's plan.
	carriers = append(carriers, carried(h.t, w, "QEMU's user network", real, "user,id=net0,ipv6=off,net=10.211.212.0/24,host=10.211.212.1,dns=10.211.212.53"))
	for _, c := range carriers {
		c.boot()
	}
	for range 2 {
		for _, c := range carriers {
			c.measure()
		}
	}
	first := carriers[0]
	for _, row := range []struct {
		what   string
		values func(*carrier) []float64
	}{
		{"download of 200 MiB", func(c *carrier) []float64 { return c.down }},
		{"upload of 200 MiB", func(c *carrier) []float64 { return c.up }},
		{"100 downloads of 1 MiB at once", func(c *carrier) []float64 { return c.many }},
	} {
		for _, c := range carriers {
			v := row.values(c)
			out.add(row.what+", "+c.name, fmt.Sprintf("%.1f MiB/s", middle(v)/(1<<20)), "", fmt.Sprint(len(v)))
		}
		for _, c := range carriers[1:] {
			out.ratio("Aegis ÷ "+c.name, middle(row.values(first)), middle(row.values(c)))
		}
	}
	for _, c := range carriers {
		out.times("connect and GET, "+c.name, c.pages)
	}
	for _, c := range carriers[1:] {
		out.ratios("Aegis ÷ "+c.name, first.pages, c.pages)
	}
	for _, c := range carriers {
		out.times("processor time of all that, "+c.name, c.spent)
	}
	for _, c := range carriers[1:] {
		out.ratios("Aegis ÷ "+c.name, first.spent, c.spent)
	}
}

// carried is a home whose emulator has that -netdev, which says what ours says.
func carried(t *testing.T, w world, name, real, netdev string) *carrier {
	h := newHome(t)
	h.config(`front-door = "127.0.0.1:0"`, `confinement = "off"`)
	path := filepath.Join(h.cwd, "path")
	h.write(filepath.Join(path, "qemu-system-x86_64"), fmt.Sprintf(`#!/bin/bash
args=()
for a; do
	case $a in stream,id=net0,*) a='%s' ;; esac
	args+=("$a")
done
exec %s "${args[@]}"
`, netdev, real))
	if err := os.Chmod(filepath.Join(path, "qemu-system-x86_64"), 0o755); err != nil {
		t.Fatal(err)
	}
	h.env = append(h.env, "PATH="+path+":"+os.Getenv("PATH"))
	h.join(w, asRoot)
	return &carrier{name: name, home: h}
}

// passt starts it for one guest, and gives its socket and its process.
func passt(t *testing.T, w world) (string, int) {
	dir, err := os.MkdirTemp("", "aegis-passt-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil { // it is nobody when it makes the socket
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "socket")
	args := append(w.enter[1:len(w.enter):len(w.enter)], "passt", "--foreground", "--quiet", "--ipv4-only", "--socket", socket,
		"--address", "10.211.212.2", "--netmask", "30", "--gateway", "10.211.212.1", "--mtu", "65520", "--tcp-ports", "none", "--udp-ports", "none")
	cmd := exec.Command(w.enter[0], args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	for range 200 {
		if _, err := os.Stat(socket); err == nil {
			return socket, cmd.Process.Pid
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("passt has no socket")
	return "", 0
}

func (c *carrier) boot() {
	h := c.home
	build := exec.Command("go", "build", "-o", filepath.Join(h.cwd, "app/netbench"), "./testdata/netbench")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if said, err := build.CombinedOutput(); err != nil {
		h.t.Fatalf("build netbench: %v\n%s", err, said)
	}
	h.ok("instance", "start", "--name", "box", "--pause-after", "never", "--workspace", "./app", "-m", "512M")
	h.ok("instance", "pause", "box")
}

// measure is one round, in which no other guest runs.
func (c *carrier) measure() {
	h := c.home
	h.ok("instance", "resume", "box")
	var got struct {
		Down, Up, Parallel float64
		Pages              series
	}
	before := c.processorTime()
	r := h.run("", "exec", "box", "--", "./netbench", webAddr)
	c.spent = append(c.spent, c.processorTime()-before)
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil {
		h.t.Errorf("%s: %v %s", c.name, err, r.stderr)
	}
	h.ok("instance", "pause", "box")
	c.pages = append(c.pages, got.Pages...)
	c.down, c.up, c.many = append(c.down, got.Down), append(c.up, got.Up), append(c.many, got.Parallel)
}

// processorTime is what the home's processes have had, but for the commands, and the one aside.
func (c *carrier) processorTime() (total time.Duration) {
	pids := []int{c.aside}
	for _, p := range c.home.processes() {
		pids = append(pids, p.pid)
	}
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue
		}
		var user, system time.Duration // in ticks of 10 ms (proc(5))
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		fmt.Sscan(fields[11]+" "+fields[12], &user, &system)
		total += (user + system) * 10 * time.Millisecond
	}
	return total
}
