package daemon

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"aegis/client"
	"aegis/internal/instance"
)

// fixed are instances that never change; one of them is always gone.
type fixed []client.Instance

func (f fixed) List(context.Context) ([]client.Instance, error) {
	if f == nil {
		return nil, errors.New("broken")
	}
	return f, nil
}

func (f fixed) Info(_ context.Context, ref string) (client.Instance, error) {
	for _, i := range f {
		if i.ID == ref && i.Name != "gone" {
			return i, nil
		}
	}
	return client.Instance{}, errors.New("gone")
}

func TestMetrics(t *testing.T) {
	m := newMetrics()
	m.engine = fixed{{ID: "inst-a", Name: "web", State: "RUNNING", MemoryUsed: 42 << 20, NetUsed: &client.NetUse{Sent: 1, Received: 2, Queries: 3, Denied: 4, Dropped: 5}}, {ID: "inst-b", Name: "gone", State: "PAUSED", MemoryUsed: 1},
		{ID: "inst-c", Name: "off", State: "STOPPED", MemoryUsed: 1}}
	m.woke(instance.Paused, 7*time.Millisecond)
	m.woke(instance.Stopped, 2*time.Second)
	w := httptest.NewRecorder()
	m.handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	text := w.Body.String()
	for _, line := range []string{
		`aegis_instances{state="RUNNING"} 1`, `aegis_instances{state="PAUSED"} 1`, `aegis_instances{state="STOPPED"} 1`, `aegis_instances{state="STARTING"} 0`,
		`aegis_instance_memory_bytes{id="inst-a",name="web"} 4.4040192e+07`,
		`aegis_wake_seconds_bucket{from="PAUSED",le="0.005"} 0`, `aegis_wake_seconds_bucket{from="PAUSED",le="0.01"} 1`, `aegis_wake_seconds_sum{from="STOPPED"} 2`,
		`aegis_instance_network_bytes_total{direction="sent",id="inst-a",name="web"} 1`, `aegis_instance_network_bytes_total{direction="received",id="inst-a",name="web"} 2`,
		`aegis_instance_dns_queries_total{id="inst-a",name="web"} 3`, `aegis_instance_network_denied_total{id="inst-a",name="web"} 4`, `aegis_instance_network_dropped_total{id="inst-a",name="web"} 5`,
		"process_resident_memory_bytes ",
	} {
		if !strings.Contains(text, line) {
			t.Errorf("no line %s", line)
		}
	}
	if strings.Count(text, "aegis_instance_memory_bytes{") != 1 {
		t.Errorf("%s", text)
	}
	m.engine = fixed(nil)
	w = httptest.NewRecorder()
	m.handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 500 {
		t.Errorf("a registry that is broken: %d", w.Code)
	}
}
