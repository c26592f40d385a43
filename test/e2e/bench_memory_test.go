package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// settleTime lets what was just started come to rest before it is weighed.
const settleTime = 2 * time.Second

// memory is what a process has resident, and how much of that no other has, in
// bytes (proc(5), smaps_rollup).
func (p process) memory() (resident, private int64, err error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", p.pid))
	if err != nil {
		return 0, 0, err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) != 3 || fields[2] != "kB" {
			continue
		}
		kib, _ := strconv.ParseInt(fields[1], 10, 64)
		switch fields[0] {
		case "Rss:":
			resident = kib << 10
		case "Private_Clean:", "Private_Dirty:":
			private += kib << 10
		}
	}
	return resident, private, lines.Err()
}

// weigh adds the memory of every process of the home.
func (h *home) weigh(out *table, what string) {
	h.t.Helper()
	for _, p := range h.processes() {
		resident, private, err := p.memory()
		if err != nil {
			h.t.Errorf("weigh %v: %v", p, err)
			continue
		}
		out.add(fmt.Sprintf("%s: %s, resident and private", what, p.role()), mib(resident), mib(private), "1")
	}
}

// measureMemory weighs the processes of one idle instance with a workspace, and
// of the command that is attached to it.
func measureMemory(h *home, out *table) {
	h.fetch(h.serve("web", "-m", "128M"))
	ctx, cancel := context.WithCancel(h.t.Context())
	attached := h.command(ctx, "exec", "web", "--", "sleep", "infinity")
	if err := attached.Start(); err != nil {
		h.t.Fatal(err)
	}
	time.Sleep(settleTime)
	h.weigh(out, "idle, 128 MiB of RAM")
	cancel()
	attached.Wait()
}

// measureRecords weighs a daemon with a thousand stopped instances and with a
// hundred paused ones, which start from one template and share its pages.
func measureRecords(h *home, out *table) {
	const stopped, paused = 1000, 100
	h.stock(0)
	h.ok("up")
	var create series
	for i := range stopped {
		body := fmt.Sprintf(`{"name":"stopped-%d","command":["true"]}`, i)
		create.took(func() { h.ask(http.MethodPost, body) })
	}
	h.list(out, "1000 stopped")
	h.asleep(0)
	h.stocked(1, 0)
	var all sync.WaitGroup
	turns := make(chan struct{}, 2) // the machine's processors, and no more
	for i := 1; i < paused; i++ {
		all.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			h.asleep(i)
		})
	}
	all.Wait()
	h.list(out, fmt.Sprintf("1000 stopped, %d paused", paused))
	out.times("make a record", create)
}

// asleep starts an instance and pauses it.
func (h *home) asleep(i int) {
	name := fmt.Sprintf("paused-%d", i)
	for _, args := range [][]string{
		{"instance", "start", "--name", name, "-m", "128M", "--expose", "80", "--", "sleep", "infinity"},
		{"instance", "pause", name},
	} {
		if r := h.run("", args...); r.code != 0 {
			h.t.Errorf("%v: %+v", args, r)
		}
	}
}

// ask makes a request about instances to the daemon, as curl would, and reads the answer.
func (h *home) ask(method, body string) {
	h.t.Helper()
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(h.dir, "aegisd.sock"))
	}
	c := http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(h.t.Context(), method, "http://aegisd/v1/instances", strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	if text, err := io.ReadAll(res.Body); err != nil || res.StatusCode >= http.StatusBadRequest {
		h.t.Fatalf("%s instances: %s %s %v", method, res.Status, text, err)
	}
}

// list measures how long it takes to list all instances, and the daemon's memory.
func (h *home) list(out *table, what string) {
	h.t.Helper()
	var api, command series
	for range 20 {
		api.took(func() { h.ask(http.MethodGet, "") })
		command.took(func() { h.ok("instance", "list") })
	}
	time.Sleep(settleTime)
	resident, private, err := h.one("aegisd").memory()
	if err != nil {
		h.t.Fatal(err)
	}
	out.times(what+": list, by the API", api)
	out.times("  by the command", command)
	out.add("  aegisd, resident and private", mib(resident), mib(private), "1")
}
