package e2e

import (
	"net/http"
	"sync"
	"time"
)

// fetch gets a page on a connection of its own and wants a 200.
func (h *home) fetch(url string) {
	if code, body, _ := h.get(url); code != http.StatusOK {
		h.t.Fatalf("get %s: %d %q", url, code, body)
	}
}

// measureWake is the first answer on a new connection, with the instance RUNNING and with
// it PAUSED.
func (f fleet) measureWake(urls map[*member]string) {
	running, paused, exec := f.series(), f.series(), f.series()
	for range *rounds {
		for _, m := range f.members {
			m.in(running).took(func() { m.fetch(urls[m]) })
			m.ok("instance", "pause", "web")
			m.in(paused).took(func() { m.fetch(urls[m]) })
			m.ok("instance", "pause", "web")
			m.in(exec).took(func() { m.ok("exec", "web", "--", "true") })
		}
	}
	f.rows("first answer, RUNNING", running)
	f.rows("first answer, from PAUSED", paused)
	for i, origin := range startOrigins {
		var more []cell
		for c, s := range paused[i] {
			more = append(more, cell{ms(s.at(50) - running[i][c].at(50)), ms(s.at(95) - running[i][c].at(95))})
		}
		f.out.row("  PAUSED − RUNNING: "+origin, "", more...)
	}
	f.rows("exec -- true, from PAUSED", exec)
}

// measureManyWakes has 50 clients wake one PAUSED instance, and compares it with
// the same 50 while it is RUNNING.
func measureManyWakes(h *home, out *table) {
	url := h.serve("web")
	h.fetch(url)
	var running, paused series
	for range 5 {
		running.took(func() { h.crowd(url) })
		h.ok("instance", "pause", "web")
		before := h.info("web").Wakes[0].At
		paused.took(func() { h.crowd(url) })
		if wakes := h.info("web").Wakes; len(wakes) < 2 || !wakes[1].At.Equal(before) {
			h.t.Errorf("50 clients woke it more than once: %+v", wakes)
		}
	}
	out.times("50 at once, RUNNING: the last answer", running)
	out.times("50 at once, from PAUSED: the last answer", paused)
	out.ratio("PAUSED ÷ RUNNING", float64(paused.at(50)), float64(running.at(50)))
}

// crowd gets a page 50 times at once, each on a connection of its own.
func (h *home) crowd(url string) {
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			c := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
			res, err := c.Get(url)
			if err != nil {
				h.t.Error(err)
				return
			}
			res.Body.Close()
			if res.StatusCode != http.StatusOK {
				h.t.Errorf("get %s: %s", url, res.Status)
			}
		})
	}
	all.Wait()
}
