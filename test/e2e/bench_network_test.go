package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
		socket := passt(h.t, w)
		carriers = append(carriers, carried(h.t, w, "passt", real, "stream,id=net0,server=off,addr.type=unix,addr.path="+socket))
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
		out.ratio("Aegis ÷ "+c.name, float64(first.pages.at(50)), float64(c.pages.at(50)))
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

// passt starts it for one guest, and gives its socket.
func passt(t *testing.T, w world) string {
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
			return socket
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("passt has no socket")
	return ""
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
	r := h.run("", "exec", "box", "--", "./netbench", webAddr)
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil {
		h.t.Errorf("%s: %v %s", c.name, err, r.stderr)
	}
	h.ok("instance", "pause", "box")
	c.pages = append(c.pages, got.Pages...)
	c.down, c.up, c.many = append(c.down, got.Down), append(c.up, got.Up), append(c.many, got.Parallel)
}
