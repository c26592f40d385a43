package e2e

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// monitors makes TestBackendFigures measure these backends. `make lab-bench` sets it.
var monitors = flag.String("monitors", "", "measure these backends, the first is what the others are compared with: qemu,firecracker or qemu,libkrun")

// TestBackendFigures prints the same rows for each backend, measured in turns in one run:
// where KVM itself is emulated only the ratios mean anything. It asserts no time.
func TestBackendFigures(t *testing.T) {
	if *monitors == "" {
		t.Skip("it measures, and asserts nothing: make lab-bench")
	}
	names := strings.Split(*monitors, ",")
	var homes []*home
	for _, name := range names {
		h := newHome(t)
		h.set("AEGIS_BACKEND", name)
		homes = append(homes, h)
	}
	var out table
	rows := compared{names, homes, &out}
	run := func(h *home) { h.ok("run", "--", "true") }
	rows.inTurns("run -- true, cold boot", 2, run)
	rows.ahead(run)
	for _, h := range homes {
		h.serve("web", "--pause-after", "never", "-m", strconv.Itoa(comparedMemory>>20)+"M")
	}
	rows.inTurns("exec -- true", 10, func(h *home) { h.ok("exec", "web", "--", "true") })
	urls := map[*home]string{}
	for _, h := range homes {
		urls[h] = h.url("web")
		h.fetch(urls[h])
	}
	rows.inTurns("first answer, RUNNING", 10, func(h *home) { h.fetch(urls[h]) })
	rows.after("first answer, from PAUSED", 10, func(h *home) { h.ok("instance", "pause", "web") }, func(h *home) { h.fetch(urls[h]) })
	rows.weigh()
	out.print()
}

// ahead measures starts from what was made ahead: templates where all have them, and then
// VMs that wait.
func (c compared) ahead(run func(*home)) {
	again := func(pool int) {
		for i, h := range c.homes {
			h.ok("down")
			h.stock(pool)
			run(h)
			h.stocked(templates(c.names[i]), pool)
		}
	}
	if !slices.ContainsFunc(c.names, func(name string) bool { return templates(name) == 0 }) {
		again(0)
		c.inTurns("run -- true, from the template", 5, run)
	}
	again(1)
	c.after("run -- true, from the pool", 3, func(h *home) { h.stocked(templates(c.names[slices.Index(c.homes, h)]), 1) }, run)
	for _, h := range c.homes {
		h.ok("down")
		h.stock(0)
	}
}

// compared are homes of several backends, the first of which the others are compared with.
type compared struct {
	names []string
	homes []*home
	out   *table
}

// inTurns measures act n times in each home.
func (c compared) inTurns(what string, n int, act func(*home)) {
	c.after(what, n, func(*home) {}, act)
}

// after measures act n times in each home, each time when before has been done.
func (c compared) after(what string, n int, before, act func(*home)) {
	took := make([]series, len(c.homes))
	for range n {
		for i, h := range c.homes {
			before(h)
			took[i].took(func() { act(h) })
		}
	}
	for i, name := range c.names {
		c.out.times(what+": "+name, took[i])
		if i > 0 {
			c.out.ratio(name+" ÷ "+c.names[0], float64(took[i].at(50)), float64(took[0].at(50)))
		}
	}
}

// weigh adds the memory of the monitor of each home's one instance, which idles.
func (c compared) weigh() {
	time.Sleep(settleTime)
	for i, h := range c.homes {
		for _, p := range h.processes() {
			if p.role() != "vmm" {
				continue
			}
			resident, private, err := p.memory()
			if err != nil {
				h.t.Fatal(err)
			}
			guest, err := p.guestMemory(comparedMemory)
			if err != nil {
				h.t.Fatal(err)
			}
			c.out.add("monitor of an idle guest, resident and private: "+c.names[i], mib(resident), mib(private), "1")
			c.out.add("  resident beyond the guest's memory", mib(resident-guest), "", "1")
		}
	}
}

// comparedMemory is the size of their guests in bytes.
const comparedMemory = 128 << 20

// guestMemory is what is resident of a guest with so many bytes: of the areas that are so
// large, of which a monitor has no others (proc(5), smaps).
func (p process) guestMemory(size int64) (resident int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps", p.pid))
	if err != nil {
		return 0, err
	}
	large := false
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) != 3 || f[2] != "kB" {
			continue
		}
		kib, _ := strconv.ParseInt(f[1], 10, 64)
		switch f[0] {
		case "Size:":
			large = kib<<10 >= size
		case "Rss:":
			if large {
				resident += kib << 10
			}
		}
	}
	return resident, nil
}
