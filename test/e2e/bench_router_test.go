package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"aegis/internal/paths"
	"aegis/internal/shim"
)

// way is one way to the application: the router's, or the harness's dial alone.
type way struct {
	url     string
	client  *http.Client
	latency series
	each    series    // of a request on a connection of its own
	rate    []float64 // requests a second
	speed   []float64 // bytes a second
}

// measureRouted compares requests through the router with the same ones through
// the harness's dial, which the router uses as well.
func measureRouted(h *home, out *table) {
	app := filepath.Join(h.cwd, "app")
	build := exec.Command("go", "build", "-o", filepath.Join(app, "server"), "./testdata/server")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
	if said, err := build.CombinedOutput(); err != nil {
		h.t.Fatalf("build the server: %v\n%s", err, said)
	}
	h.ok("instance", "start", "--name", "web", "--workspace", "./app", "--expose", "80", "--", "./server")
	routed := &way{url: h.url("web"), client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}}
	direct := &way{url: "http://app/", client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16, DialContext: h.dialer("web")}}}
	ways := []*way{routed, direct}
	for range 3 {
		for _, w := range ways {
			w.requests(h, 50)
			w.load(h, 8, 2*time.Second)
			w.bulk(h, 3)
		}
	}
	out.times("request through the router, kept connection", routed.latency)
	out.times("  by the harness's dial alone", direct.latency)
	out.ratio("latency, router ÷ dial", float64(routed.latency.at(50)), float64(direct.latency.at(50)))
	out.times("request on a new connection, router", routed.each)
	out.times("  by the harness's dial alone", direct.each)
	for _, c := range []struct {
		what, unit     string
		routed, direct []float64
		scale          float64
	}{
		{"requests at 8 at once", "/s", routed.rate, direct.rate, 1},
		{"one body of 8 MiB", "MiB/s", routed.speed, direct.speed, 1 << 20},
	} {
		r, d := middle(c.routed), middle(c.direct)
		out.add(c.what+", router", fmt.Sprintf("%.1f %s", r/c.scale, c.unit), "", fmt.Sprint(len(c.routed)))
		out.add("  by the harness's dial alone", fmt.Sprintf("%.1f %s", d/c.scale, c.unit), "", fmt.Sprint(len(c.direct)))
		out.ratio("router ÷ dial", r, d)
	}
}

// dialer connects to port 80 of an instance through its shim, past the daemon.
func (h *home) dialer(name string) func(context.Context, string, string) (net.Conn, error) {
	runs, err := filepath.Glob(filepath.Join(h.dir, "run", "*"))
	if err != nil || len(runs) != 1 {
		h.t.Fatalf("runs of %s: %v, %v", name, runs, err)
	}
	link, _, err := shim.Connect(h.t.Context(), paths.Run{Dir: runs[0]})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(link.Leave)
	return func(ctx context.Context, _, _ string) (net.Conn, error) { return link.Dial(ctx, 80, time.Second) }
}

// middle is the median.
func middle(values []float64) float64 {
	var s series
	for _, v := range values {
		s = append(s, time.Duration(v*1e3))
	}
	return float64(s.at(50)) / 1e3
}

// fetch reads a page to its end and returns its length.
func (w *way) fetch(h *home, path string) int64 {
	res, err := w.client.Get(w.url + path)
	if err != nil {
		h.t.Error(err)
		return 0
	}
	defer res.Body.Close()
	n, err := io.Copy(io.Discard, res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		h.t.Errorf("get %s: %s, %v", w.url+path, res.Status, err)
	}
	return n
}

// requests are made one after the other.
func (w *way) requests(h *home, n int) {
	for i := range n {
		if i%5 == 0 {
			w.client.CloseIdleConnections()
			w.each.took(func() { w.fetch(h, "") })
			continue
		}
		w.latency.took(func() { w.fetch(h, "") })
	}
}

// load makes requests at once for a while.
func (w *way) load(h *home, clients int, d time.Duration) {
	var served atomic.Int64
	began := time.Now()
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for time.Since(began) < d && !h.t.Failed() {
				w.fetch(h, "")
				served.Add(1)
			}
		})
	}
	all.Wait()
	w.rate = append(w.rate, float64(served.Load())/time.Since(began).Seconds())
}

// bulk fetches a long body.
func (w *way) bulk(h *home, times int) {
	for range times {
		began := time.Now()
		n := w.fetch(h, "bytes/8388608")
		w.speed = append(w.speed, float64(n)/time.Since(began).Seconds())
	}
}
