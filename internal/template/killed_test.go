package template

import (
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"aegis/internal/paths"
)

// envKilled makes this test's program the process that is killed.
const envKilled = "AEGIS_TEST_TEMPLATES"

// TestKilledInTheMiddle kills a process that makes and removes templates, at any
// point of it. What the next one finds is whole or not there, and nothing lies about.
func TestKilledInTheMiddle(t *testing.T) {
	if dir := os.Getenv(envKilled); dir != "" {
		toil(dir)
		return
	}
	home := place(t)
	found := 0
	for range 12 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledInTheMiddle$")
		cmd.Env = append(os.Environ(), envKilled+"="+home.Dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		out.Read(make([]byte, 1)) // it has begun
		time.Sleep(time.Duration(rand.IntN(20_000)) * time.Microsecond)
		cmd.Process.Kill()
		cmd.Wait()
		c := open(t, home, 1<<30)
		for _, name := range left(t, home) {
			if paths.IsTemplateLeftover(name) {
				t.Errorf("%s lies about", name)
			}
		}
		for n := range 3 {
			tpl, ok, err := c.Take(shape(n).Key())
			if err != nil {
				t.Errorf("template %d: %v", n, err)
			}
			if ok {
				found++
			}
			tpl.Release()
		}
	}
	t.Logf("%d templates outlived a kill", found)
}

// toil makes and removes templates until it is killed.
func toil(dir string) {
	c, err := Open(paths.Home{Dir: dir}, 1<<30)
	if err != nil {
		panic(err)
	}
	os.Stdout.Write([]byte{'\n'})
	for end := time.Now().Add(time.Minute); time.Now().Before(end); {
		for n := range 3 {
			if err := c.Make(context.Background(), shape(n), write(100_000)); err != nil {
				panic(err)
			}
			if rand.IntN(2) == 0 {
				c.Drop(shape(n).Key())
			}
		}
	}
}
