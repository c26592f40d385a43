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

	carried, queries, denied, dropped *prometheus.Desc // of an instance's network
}

func newMetrics() *metrics {
	return &metrics{
		wakes: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "aegis_wake_seconds", Help: "Time of returns to RUNNING, by the state before.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}}, []string{"from"}),
		states:  prometheus.NewDesc("aegis_instances", "Instances in a state.", []string{"state"}, nil),
		memory:  prometheus.NewDesc("aegis_instance_memory_bytes", "Memory of an instance's processes on the host: monitor, shim and helpers.", []string{"id", "name"}, nil),
		carried: prometheus.NewDesc("aegis_instance_network_bytes_total", "Payload of TCP and UDP that the network of a life has carried, from the guest (sent) and to it (received).", []string{"id", "name", "direction"}, nil),
		queries: prometheus.NewDesc("aegis_instance_dns_queries_total", "DNS questions of a life.", []string{"id", "name"}, nil),
		denied:  prometheus.NewDesc("aegis_instance_network_denied_total", "What a life was not let to reach.", []string{"id", "name"}, nil),
		dropped: prometheus.NewDesc("aegis_instance_network_dropped_total", "Frames of a life that were not the guest's to send, and what was beyond its caps.", []string{"id", "name"}, nil),
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
func (m *metrics) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.states, m.memory, m.carried, m.queries, m.denied, m.dropped} {
		out <- d
	}
}

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
			if i, err := m.engine.Info(ctx, i.ID); err == nil {
				m.measured(i, out)
			}
		})
	}
	group.Wait()
	for _, state := range instance.States() {
		out <- prometheus.MustNewConstMetric(m.states, prometheus.GaugeValue, float64(count[string(state)]), string(state))
	}
}

// measured are the figures of one instance, as far as there are any.
func (m *metrics) measured(i client.Instance, out chan<- prometheus.Metric) {
	if i.MemoryUsed > 0 {
		out <- prometheus.MustNewConstMetric(m.memory, prometheus.GaugeValue, float64(i.MemoryUsed), i.ID, i.Name)
	}
	n := i.NetUsed
	if n == nil {
		return
	}
	count := func(d *prometheus.Desc, value uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), append([]string{i.ID, i.Name}, labels...)...)
	}
	count(m.carried, n.Sent, "sent")
	count(m.carried, n.Received, "received")
	count(m.queries, n.Queries)
	count(m.denied, n.Denied)
	count(m.dropped, n.Dropped)
}
