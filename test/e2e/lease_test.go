package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"aegis/client"
)

// TestLeaseFromInside has the instance itself say how long it stays awake.
func TestLeaseFromInside(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	// Everything is done by the command alone: an exec would keep it awake by itself.
	const take = `curl -sS --unix-socket /run/aegis.sock -X POST http://aegis/v1/self/lease -d '{"for":"%s","reason":"nightly build"}'; echo; `
	h.ok("instance", "start", "--name", "held", "--pause-after", "2s", "--expose", "80", "--", "sh", "-c", fmt.Sprintf(take, "12s")+"exec sleep infinity")
	h.eventually(30*time.Second, "info names the lease, and the command was answered", func() error {
		if !strings.Contains(h.ok("logs", "held"), "\n") {
			return fmt.Errorf("no answer yet")
		}
		if because := h.info("held").AwakeBecause; !strings.Contains(strings.Join(because, ","), "nightly build") {
			return fmt.Errorf("awake because %q", because)
		}
		return nil
	})
	until := leaseIn(t, h.ok("logs", "held"))
	for time.Until(until) > 500*time.Millisecond { // the passing of time is what is tested
		if state := h.info("held").State; state != "RUNNING" {
			t.Fatalf("it is %s %s before its lease ends", state, time.Until(until))
		}
		time.Sleep(200 * time.Millisecond)
	}
	h.state("held", "PAUSED", 30*time.Second)
	if now := time.Now(); now.Before(until) {
		t.Errorf("it paused %s before the end of its lease", until.Sub(now))
	}
}

// TestLeaseIsReleasedInside drops a long lease, as a user that is not root.
func TestLeaseIsReleasedInside(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.ok("instance", "start", "--name", "held", "--pause-after", "2s", "--expose", "8080", "--", "sleep", "infinity")
	curl := func(args ...string) string {
		return h.ok(append([]string{"exec", "-u", "65534:65534", "held", "--", "curl", "-sS", "--unix-socket", "/run/aegis.sock"}, args...)...)
	}
	const self, lease = "http://aegis/v1/self", "http://aegis/v1/self/lease"
	var got struct {
		ID    string        `json:"id"`
		Name  string        `json:"name"`
		Ports []client.Port `json:"ports"`
		After string        `json:"pause_after"`
		Lease *struct {
			Until  time.Time `json:"until"`
			Reason string    `json:"reason"`
		} `json:"lease"`
	}
	leaseIn(t, curl("-X", "POST", lease, "-d", `{"for":"1h","reason":"forgotten"}`))
	if err := json.Unmarshal([]byte(curl(self)), &got); err != nil {
		t.Fatal(err)
	}
	info := h.info("held")
	if got.ID != info.ID || got.Name != "held" || got.After != "2s" || len(got.Ports) != 1 || got.Ports[0].Guest != 8080 || got.Ports[0].Host != 0 {
		t.Errorf("self: %+v", got)
	}
	if got.Lease == nil || got.Lease.Reason != "forgotten" || time.Until(got.Lease.Until) < 50*time.Minute {
		t.Errorf("self has lease %+v", got.Lease)
	}
	// the next daemon knows the lease of the last
	h.kill(h.one("aegisd"))
	h.ok("status")
	time.Sleep(4 * time.Second) // what would pause it passes
	if info := h.info("held"); info.State != "RUNNING" || !strings.Contains(strings.Join(info.AwakeBecause, ","), "forgotten") {
		t.Errorf("after the daemon: %s, awake because %q", info.State, info.AwakeBecause)
	}
	if status := curl("-X", "DELETE", "-w", "%{http_code}", lease); status != "204" {
		t.Errorf("release: %q", status)
	}
	h.state("held", "PAUSED", 30*time.Second)
	if status := curl("-X", "POST", "-o", "/dev/null", "-w", "%{http_code}", lease, "-d", `{"for":"25h"}`); status != "422" {
		t.Errorf("a lease that is too long: %q", status)
	}
}

// leaseIn reads the answer to a lease, with what follows it.
func leaseIn(t *testing.T, text string) time.Time {
	t.Helper()
	var lease struct{ Until time.Time }
	line, _, _ := strings.Cut(text, "\n")
	if err := json.Unmarshal([]byte(line), &lease); err != nil || lease.Until.IsZero() {
		t.Fatalf("%q is no lease: %v", text, err)
	}
	return lease.Until
}
