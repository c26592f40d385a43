package engine

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"

	"aegis/internal/fault"
	"aegis/internal/instance"
	"aegis/internal/template"
)

// fakePorts hands out numbers and remembers who listens.
type fakePorts struct {
	mu   sync.Mutex
	next uint16
	open int
	rest func() // when set, what Rest does
}

func (p *fakePorts) Claim(wanted []instance.Port) (Claim, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := slices.Clone(wanted)
	for i := range out {
		if out[i].Host == 7 {
			return nil, fault.New(fault.PortTaken, "7", "bind port 7", "it is held by echo (pid 1)")
		}
		if out[i].Host == 0 {
			p.next++
			out[i].Host = p.next
		}
	}
	p.open++
	return &fakeClaim{p: p, ports: out}, nil
}

func (p *fakePorts) listening() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.open
}

type fakeClaim struct {
	p     *fakePorts
	ports []instance.Port
	once  sync.Once
}

func (c *fakeClaim) Ports() []instance.Port { return c.ports }
func (c *fakeClaim) Serve(string)           {}
func (c *fakeClaim) Rest() {
	if c.p.rest != nil {
		c.p.rest()
	}
}
func (c *fakeClaim) Close() error { c.Drain(); return nil }
func (c *fakeClaim) Drain() {
	c.once.Do(func() {
		c.p.mu.Lock()
		defer c.p.mu.Unlock()
		c.p.open--
	})
}

type fakeAssets struct{}

// bare is the backend without snapshots.
const bare = "bare"

// hostly is the backend that runs the host's platform alone.
const hostly = "hostly"

// Backend has snapshots unless it is asked for as the one that has none.
func (fakeAssets) Backend(name, platform string) (Backend, error) {
	if name == hostly && instance.Arch(platform) != runtime.GOARCH {
		return Backend{}, fault.New(fault.Invalid, name, "find the backend", "it runs no guest of %s", platform)
	}
	return Backend{Name: "fake", Arch: instance.Arch(platform), Accelerator: "tcg", Snapshots: name != bare, MaxCPUs: 8, MinMemory: 64 << 20}, nil
}

func (fakeAssets) Files(context.Context, Backend, string) (Files, error) {
	return Files{Digest: "sha256:0", Cmd: []string{"idle"}, BaseType: "ext4"}, nil
}

func (fakeAssets) Shape(context.Context, Backend, Files) (template.Shape, bool) {
	return template.Shape{Backend: "fake"}, true
}

func (fakeAssets) Disk(_ context.Context, path string, _ int64) error {
	return os.WriteFile(path, []byte("disk"), 0o600)
}

// fakeSecrets maps names to values.
type fakeSecrets map[string]string

func (s fakeSecrets) Get(names ...string) (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, name := range names {
		value, ok := s[name]
		if !ok {
			return nil, fault.New(fault.SecretMissing, name, "open the secrets", "%s is not set", name)
		}
		out[name] = []byte(value)
	}
	return out, nil
}

func (s fakeSecrets) Versions() (map[string]string, error) {
	out := map[string]string{}
	for name, value := range s {
		out[name] = fmt.Sprint(len(value))
	}
	return out, nil
}
