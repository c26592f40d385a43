package daemon

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"aegis/client"
	"aegis/internal/instance"
)

// scrapeTimeout bounds what a scrape asks shims for.
const scrapeTimeout = 5 * time.Second

// scrapeAtOnce is how many shims a scrape asks at the same time.
const scrapeAtOnce = 8

// instances is what metrics reads of the engine.
type instances interface {
	List(ctx context.Context) ([]client.Instance, error)
	Info(ctx context.Context, ref string) (client.Instance, error)
}

// metrics is what Prometheus scrapes: the daemon's own process, the instances as
// they are at the scrape, and the wakes since the daemon began.
type metrics struct {
	engine instances
	wakes  *prometheus.HistogramVec
	states *prometheus.Desc
	memory *prometheus.Desc
}

func newMetrics() *metrics {
	return &metrics{
		wakes: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "aegis_wake_seconds", Help: "Time of returns to RUNNING, by the state before.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}}, []string{"from"}),
		states: prometheus.NewDesc("aegis_instances", "Instances in a state.", []string{"state"}, nil),
		memory: prometheus.NewDesc("aegis_instance_memory_bytes", "Memory of an instance's processes on the host: monitor, shim and helpers.", []string{"id", "name"}, nil),
	}
}

// woke is for the engine.
func (m *metrics) woke(from instance.State, took time.Duration) {
	m.wakes.WithLabelValues(string(from)).Observe(took.Seconds())
}

// handler answers scrapes.
func (m *metrics) handler() http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(m, m.wakes, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{})
}

// Describe is for the registry.
func (m *metrics) Describe(out chan<- *prometheus.Desc) { out <- m.states; out <- m.memory }

// Collect looks at every instance; one that goes meanwhile is left out.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	all, err := m.engine.List(ctx)
	if err != nil {
		out <- prometheus.NewInvalidMetric(m.states, err)
		return
	}
	count := map[string]int{}
	slots := make(chan struct{}, scrapeAtOnce)
	var group sync.WaitGroup
	for _, i := range all {
		count[i.State]++
		if i.State == string(instance.Stopped) {
			continue
		}
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			if i, err := m.engine.Info(ctx, i.ID); err == nil && i.MemoryUsed > 0 {
				out <- prometheus.MustNewConstMetric(m.memory, prometheus.GaugeValue, float64(i.MemoryUsed), i.ID, i.Name)
			}
		})
	}
	group.Wait()
	for _, state := range instance.States() {
		out <- prometheus.MustNewConstMetric(m.states, prometheus.GaugeValue, float64(count[string(state)]), string(state))
	}
}
