package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// traffic fetches pages of instances and writes files into their workspaces, over
// and over. What fails is tried again: faults are what it is for.
type traffic struct {
	h      *home
	cancel context.CancelFunc
	wg     sync.WaitGroup
	gate   sync.RWMutex // held for writing while nothing new begins
	pages  atomic.Int64

	mu    sync.Mutex
	files map[string]string // path below cwd → SHA-256, of what was synchronized
}

// patience bounds one page and one exec: what takes longer hangs.
const patience = 90 * time.Second

// drive begins the traffic of the named instances.
func (h *home) drive(names []string) *traffic {
	h.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	d := &traffic{h: h, cancel: cancel, files: map[string]string{}}
	for _, name := range names {
		url := h.url(name)
		d.loop(ctx, func(int) { d.page(ctx, name, url) })
		d.loop(ctx, func(n int) { d.write(ctx, name, n) })
	}
	return d
}

// loop does one thing after the other, as the gate lets it begin.
func (d *traffic) loop(ctx context.Context, do func(n int)) {
	d.wg.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			d.gate.RLock()
			d.gate.RUnlock() //lint:ignore SA2001 to have come through is all
			do(n)
			time.Sleep(20 * time.Millisecond) // what is refused at once is not tried at once
		}
	})
}

// hold lets nothing new begin until resume; what has begun goes on.
func (d *traffic) hold()   { d.gate.Lock() }
func (d *traffic) resume() { d.gate.Unlock() }

// stop ends all of it, and waits. Again does nothing.
func (d *traffic) stop() {
	d.cancel()
	d.wg.Wait()
}

func (d *traffic) String() string {
	return fmt.Sprintf("%d pages, %d files", d.pages.Load(), len(d.written()))
}

func (d *traffic) page(ctx context.Context, name, url string) {
	within, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(within, http.MethodGet, url, nil)
	if err != nil {
		d.h.t.Error(err)
		return
	}
	res, err := http.DefaultClient.Do(req)
	if err == nil {
		defer res.Body.Close()
		var body []byte
		if body, err = io.ReadAll(res.Body); err == nil && res.StatusCode == http.StatusOK {
			d.pages.Add(1)
			if want := "page of " + name + "\n"; string(body) != want {
				d.h.t.Errorf("%s answered %q", name, body)
			}
		}
	}
	if within.Err() != nil && ctx.Err() == nil {
		d.h.t.Errorf("a page of %s hangs: %v", name, err)
	}
}

// writing makes a file as careful programs do, and prints its sum once it is safe.
const writing = `head -c 20000 /dev/urandom > .new && sync .new && mv .new $0 && sync . && sha256sum $0`

func (d *traffic) write(ctx context.Context, name string, n int) {
	within, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	file := fmt.Sprintf("file-%d", n)
	out, err := d.h.command(within, "exec", name, "--", "sh", "-c", writing, file).Output()
	sum, rest, _ := strings.Cut(string(out), " ")
	if err == nil && strings.TrimSpace(rest) == file {
		d.mu.Lock()
		d.files[name+"/"+file] = sum
		d.mu.Unlock()
	}
	if within.Err() != nil && ctx.Err() == nil {
		d.h.t.Errorf("an exec in %s hangs: %v", name, err)
	}
}

// written are the files that were synchronized until now.
func (d *traffic) written() map[string]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return maps.Clone(d.files)
}

// checksum is the SHA-256 of a file in hexadecimal.
func checksum(path string) (string, error) {
	body, err := os.ReadFile(path)
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:]), err
}
