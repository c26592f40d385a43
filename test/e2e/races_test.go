package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"aegis/client"
	"aegis/internal/version"
)

// refusals are what a race may lead to; any other error is a bug. Where a blow falls
// into the round, its own refusals are right besides.
var refusals = []string{"wrong_state", "boot_failed", "timeout", "backing_off"}

// blows are what falls upon everything else once in a round.
var blows = []struct {
	what   string
	leads  []string // codes
	strike func(*home, *client.Client) error
}{
	{"nothing", nil, func(*home, *client.Client) error { return nil }},
	{"the deletion", []string{"not_found"}, func(h *home, c *client.Client) error { return c.Delete(h.t.Context(), "web", true) }},
	{"the daemon's death", []string{"unreachable"}, func(h *home, _ *client.Client) error {
		h.end(syscall.SIGKILL)
		if r := h.run("", "up"); r.code != 0 {
			return fmt.Errorf("up: %s", r.stderr)
		}
		return nil
	}},
}

// TestRaces starts, stops, pauses, resumes, connects, executes and kills, all at
// once on one instance, deletes it or kills the daemon under it, and wants one
// consistent state each time.
func TestRaces(t *testing.T) {
	const rounds, hands = 6, 8
	h := newHome(t)
	url := h.raced()
	c := h.client()
	defer c.Close()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for round := range rounds {
		blow := blows[round%len(blows)]
		allowed := slices.Concat(refusals, blow.leads)
		var wg sync.WaitGroup
		for range hands {
			plan := make([]int, 4)
			for i := range plan {
				plan[i] = r.IntN(8)
			}
			pause := time.Duration(r.IntN(400)) * time.Millisecond
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
				defer cancel()
				for _, op := range plan {
					time.Sleep(pause) // so that the hands mix
					if err := h.race(ctx, c, op, url); !refused(err, allowed) {
						t.Errorf("round %d with %s, operation %d: %v", round, blow.what, op, err)
					}
				}
			})
		}
		time.Sleep(time.Duration(r.IntN(1500)) * time.Millisecond)
		if err := blow.strike(h, c); err != nil {
			t.Errorf("round %d: %s: %v", round, blow.what, err)
		}
		wg.Wait()
		if _, err := c.Info(t.Context(), "web"); err != nil && refused(err, []string{"not_found"}) {
			h.becomesBare()
			url = h.raced()
		}
		h.settled(c, url)
		if t.Failed() {
			return
		}
	}
}

// raced makes the instance, and gives its URL.
func (h *home) raced() string {
	h.t.Helper()
	return h.serve("web", "--pause-after", "1s", "--stop-after", "2s")
}

// refused is whether an error is none, or has one of the codes.
func refused(err error, codes []string) bool {
	var problem *client.Error
	return err == nil || errors.As(err, &problem) && slices.Contains(codes, problem.Code)
}

// client speaks to the home's daemon without a process for each word. It is of the
// daemon's version, as the daemon wants.
func (h *home) client() *client.Client {
	h.t.Helper()
	out, err := exec.Command(filepath.Join(bin, "aegisd"), "version").Output()
	if err != nil {
		h.t.Fatal(err)
	}
	version.Version = strings.TrimSpace(string(out))
	return client.New(filepath.Join(h.dir, "aegisd.sock"))
}

// race does one thing.
func (h *home) race(ctx context.Context, c *client.Client, op int, url string) error {
	var err error
	switch op {
	case 0:
		_, err = c.Start(ctx, "web")
	case 1:
		err = c.Stop(ctx, "web", time.Second)
	case 2:
		err = c.Pause(ctx, "web")
	case 3:
		err = c.Resume(ctx, "web")
	case 4, 5:
		hc := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
		if res, err := hc.Get(url); err == nil { // a stopped one refuses, a dying one cuts
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
		}
	case 6:
		_, err = c.Exec(ctx, "web", client.Exec{Command: []string{"true"}}, client.IO{Stdout: io.Discard, Stderr: io.Discard})
		if problem := (*client.Error)(nil); errors.As(err, &problem) && problem.Code == "unreachable" {
			err = nil // the VM ended under it
		}
	case 7:
		for _, p := range h.processes() {
			if p.role() == "aegis-shim" {
				if self, err := os.FindProcess(p.pid); err == nil {
					self.Kill()
				}
				break
			}
		}
	}
	return err
}

// settled wants a state that is true, and an instance that can be used.
func (h *home) settled(c *client.Client, url string) {
	h.t.Helper()
	h.eventually(30*time.Second, "what runs is what the state says", func() error {
		state := h.info("web").State
		vms := 0
		for _, p := range h.processes() {
			if p.role() == "vmm" {
				vms++
			}
		}
		if want := map[string]int{"STOPPED": 0, "RUNNING": 1, "PAUSED": 1}[state]; vms != want || state == "STARTING" {
			return fmt.Errorf("%s with %d VMs: %v", state, vms, h.processes())
		}
		return nil
	})
	if h.info("web").State == "STOPPED" {
		h.ok("instance", "start", "--name", "web")
	}
	h.page(url, "page of web\n")
	if got := h.ok("exec", "web", "--", "echo", "hello"); got != "hello\n" {
		h.t.Errorf("exec: %q", got)
	}
}
