package e2e

import (
	"fmt"
	"time"
)

// measureConfinement compares instances that are confined with such that are not, in
// turns: whole runs, and the memory of each process.
func measureConfinement(h *home, out *table) {
	free := newHome(h.t)
	free.config(`front-door = "127.0.0.1:0"`, `confinement = "off"`)
	homes := []*home{h, free}
	var took [2]series
	for range 9 {
		for i, one := range homes {
			took[i].took(func() { one.ok("run", "--", "true") })
		}
	}
	out.times("run -- true, confined", took[0][1:]) // the first starts the daemon
	out.times("  not confined", took[1][1:])
	out.add("  what confinement adds", ms(took[0][1:].at(50)-took[1][1:].at(50)), "", "")
	var private [2]map[string]int64
	for i, one := range homes {
		one.fetch(one.serve("web", "-m", "128M"))
		time.Sleep(settleTime)
		private[i] = map[string]int64{}
		for _, p := range one.processes() {
			_, size, err := p.memory()
			if err != nil {
				h.t.Errorf("weigh %v: %v", p, err)
			}
			private[i][p.role()] = size
		}
		one.ok("instance", "stop", "web")
	}
	for _, role := range []string{"aegis-shim", "fs", "net", "vmm"} {
		out.add(fmt.Sprintf("  %s: private memory, confined and not", role), mib(private[0][role]), mib(private[1][role]), "1")
	}
}
