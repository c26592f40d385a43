package engine

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aegis/client"
	"aegis/internal/fault"
	"aegis/internal/instance"
)

// How many histories the two tests below try; more on request.
var histories = flag.Int("histories", 300, "random histories of an engine to try")

// chaos is a world with a random history.
type chaos struct {
	*world
	r *rand.Rand
}

func (c *chaos) int(n int) int { return c.r.IntN(n) }

// die ends one VM that runs, as a crash does.
func (c *chaos) die() {
	c.launcher.mu.Lock()
	defer c.launcher.mu.Unlock()
	for _, life := range c.launcher.lives {
		if !life.over() {
			life.die(instance.Exit{Reason: instance.VMDied, Signal: 9})
			return
		}
	}
}

// consistent checks what must hold whenever nothing is under way.
func (c *chaos) consistent(seed uint64) {
	c.t.Helper()
	list, err := c.List(context.Background())
	if err != nil {
		c.t.Fatal(err)
	}
	var vms, listening, paused int
	for _, view := range list {
		a, err := c.find(context.Background(), view.ID)
		if err != nil {
			c.t.Fatal(err)
		}
		switch instance.State(view.State) {
		case instance.Running:
			vms++
		case instance.Paused:
			vms++
			paused++
		case instance.Starting:
			c.t.Errorf("seed %d: %s is still STARTING", seed, view.Name)
		}
		if !a.rec.UserStopped {
			listening++
		}
		if saved, err := c.Store.Get(context.Background(), view.ID); err != nil || saved.State != instance.State(view.State) {
			c.t.Errorf("seed %d: the registry says %s, the engine %s (%v)", seed, saved.State, view.State, err)
		}
		if len(a.waiting) != 0 || len(a.waits) != 0 || a.ending != nil || a.boot != nil {
			c.t.Errorf("seed %d: %s: somebody waits for nothing", seed, view.Name)
		}
		if (a.life != nil) != (view.State != "STOPPED") {
			c.t.Errorf("seed %d: %s is %s, has a VM: %t", seed, view.Name, view.State, a.life != nil)
		}
	}
	if n := c.launcher.running(); n != vms {
		c.t.Errorf("seed %d: %d VMs run for %d instances: %s", seed, n, vms, summary(list))
	}
	if n := c.ports.listening(); n != listening {
		c.t.Errorf("seed %d: %d listeners for %d instances: %s", seed, n, listening, summary(list))
	}
	if dirs := len(names(c.home.Runs())); dirs != vms {
		c.t.Errorf("seed %d: %d run directories for %d VMs", seed, dirs, vms)
	}
	if dirs := len(names(c.home.Instances())); dirs > len(list) {
		c.t.Errorf("seed %d: %d instance directories for %d instances", seed, dirs, len(list))
	}
	frozen := 0
	for _, life := range c.launcher.lives {
		if !life.over() && life.paused.Load() {
			frozen++
		}
	}
	if frozen != paused {
		c.t.Errorf("seed %d: %d VMs are frozen, %d instances PAUSED", seed, frozen, paused)
	}
}

func summary(list []client.Instance) string {
	out := ""
	for _, view := range list {
		out += view.Name + ":" + view.State + " "
	}
	return out
}

// allowed are the refusals that a race may lead to; anything else is a bug.
func allowed(err error) bool {
	for _, kind := range []fault.Kind{fault.WrongState, fault.NotFound, fault.NameTaken, fault.Backoff, fault.BootFailed, fault.Timeout} {
		if fault.Is(err, kind) {
			return true
		}
	}
	return err == nil
}

// act does one random thing to a random instance.
func (c *chaos) act(ctx context.Context, op, which, extra int) error {
	name := fmt.Sprintf("box%d", which)
	var err error
	switch op {
	case 0:
		_, err = c.Create(ctx, client.Create{Name: name, Expose: []string{"80"}, PauseAfter: "3s", StopAfter: "5s",
			Restart: []string{"no", "on-failure", "always"}[extra%3]})
		if err == nil {
			_, err = c.Start(ctx, name)
		}
	case 1:
		_, err = c.Start(ctx, name)
	case 2:
		err = c.Stop(ctx, name, time.Second)
	case 3:
		err = c.Pause(ctx, name)
	case 4:
		err = c.Resume(ctx, name)
	case 5:
		err = c.Delete(ctx, name, extra%2 == 0)
	case 6:
		err = c.hold(c.Dial(ctx, name, 80))
	case 7:
		conn, x := c.Exec(ctx, name, client.Exec{Command: []string{"true"}})
		err = c.hold(conn, 0, x)
	case 8:
		c.die()
	case 9:
		_, err = c.Restart(ctx, name, time.Second)
	case 10:
		_, err = c.Hold(ctx, name, time.Duration(1+extra)*time.Second, "chaos")
	case 11:
		_, err = c.Prune(ctx, time.Hour)
	}
	return err
}

const ops = 12

// hold keeps a connection for a while.
func (c *chaos) hold(conn net.Conn, _ time.Duration, err error) error {
	if err == nil {
		time.Sleep(500 * time.Millisecond)
		conn.Close()
	}
	return err
}

// TestChaos does everything at once to a few instances, with VMs that die, slow
// boots and daemons that are replaced, and looks at what is left.
func TestChaos(t *testing.T) {
	for seed := range uint64(*histories) {
		synctest.Test(t, func(t *testing.T) {
			c := &chaos{world: newWorld(t), r: rand.New(rand.NewPCG(seed, 7))}
			for range 1 + c.int(3) {
				c.launcher.bootTime = time.Duration(c.int(3)) * time.Second
				var wg sync.WaitGroup
				for range 2 + c.int(12) {
					op, which, extra, pause := c.int(ops), c.int(3), c.int(10), time.Duration(c.int(4000))*time.Millisecond
					wg.Go(func() {
						time.Sleep(pause)
						ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
						defer cancel()
						if err := c.act(ctx, op, which, extra); !allowed(err) {
							t.Errorf("seed %d: operation %d: %v", seed, op, err)
						}
					})
				}
				wg.Wait()
				time.Sleep(time.Duration(c.int(8)) * time.Second)
				if c.int(3) == 0 {
					c.leave()
					c.open()
				}
				time.Sleep(10 * time.Minute) // whatever was under way, back-offs included, has ended
				synctest.Wait()
				c.consistent(seed)
			}
			c.Down(context.Background())
			c.leave()
		})
		if t.Failed() {
			return
		}
	}
}
