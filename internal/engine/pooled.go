package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"aegis/internal/durable"
	"aegis/internal/instance"
	"aegis/internal/paths"
	"aegis/internal/template"
	"aegis/internal/undo"
)

// pooled is a VM that waits for an instance. Whoever took it out of stock.waiting owns it.
type pooled struct {
	s      *stock
	key    string
	run    paths.Run
	id     string // of the run
	life   Life
	size   int64 // of its disk, bytes
	origin *template.Template
	taken  chan struct{} // closed by the one who takes it
	left   chan struct{} // closed when nobody here hears its reports any more
}

// warm are the programs that a template's maker and a VM of the pool run ahead, so
// that their pages are in memory and their code is translated. They belong to the
// image; one that it lacks is left out. What Python imports is what servers do: their
// first answer comes in three quarters of the time.
var warm = [][]string{{"true"}, {"sh", "-c", "true"}, {"bash", "-c", "true"}, {"python3", "-c", "import http.server, json, ssl, subprocess"}}

// aheadTimes is how many boot-timeouts making something ahead may take: the boot,
// the preparation, and the programs.
const aheadTimes = 3

// ahead makes a VM that is nobody's. The caller ends it.
func (s *stock) ahead(ctx context.Context, launch instance.Launch, run string) (Life, error) {
	dir := s.e.Home.Run(run)
	launch.Run, launch.RunDir, launch.Programs = run, dir.Dir, warm
	return s.e.Launcher.Launch(ctx, launch)
}

// fill puts one more VM into the pool.
func (s *stock) fill(ctx context.Context, o order) error {
	var u undo.Stack
	defer u.Run()
	ctx, cancel := context.WithTimeout(ctx, aheadTimes*s.e.Config.BootTimeout)
	defer cancel()
	var origin *template.Template // stays nil where there are none
	if !o.pooledOnly {
		var ok bool
		var err error
		if origin, ok, err = s.e.Templates.Take(o.key); err != nil || !ok {
			return err // removed meanwhile: the next step makes it anew
		}
	}
	u.Add(origin.Release)
	id := instance.NewRunID()
	v := &pooled{s: s, key: o.key, id: id, run: s.e.Home.Run(id), origin: origin, taken: make(chan struct{}), left: make(chan struct{})}
	if err := os.MkdirAll(v.run.Dir, 0o700); err != nil {
		return err
	}
	u.Add(func() { s.e.Launcher.Clear(v.run) })
	launch := o.launch
	launch.Disk, v.size = v.run.Disk(), s.e.Config.Disk
	disks := []string{launch.Disk}
	if origin != nil {
		launch.Template, launch.Scratch = origin.Dir, v.run.Scratch()
		disks = append(disks, launch.Scratch)
	}
	for _, disk := range disks {
		if err := s.e.Assets.Disk(ctx, disk, v.size); err != nil {
			return err
		}
	}
	var err error
	if v.life, err = s.ahead(ctx, launch, id); err != nil {
		return err
	}
	u.Add(func() { finish(v.life) })
	if err := v.await(ctx); err != nil {
		if origin != nil && (ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded)) {
			s.e.Templates.Drop(o.key)
		}
		return fmt.Errorf("fill the pool: %w", err)
	}
	u.Keep()
	s.mu.Lock()
	s.waiting = append(s.waiting, v)
	delete(s.failures, o.key)
	s.mu.Unlock()
	go v.guard()
	return nil
}

// await returns when the VM waits for an assignment.
func (v *pooled) await(ctx context.Context) error {
	for {
		select {
		case report, ok := <-v.life.Reports():
			if !ok {
				return errors.New(v.life.Exit().Error)
			}
			if report.Ready {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// guard forgets the VM when it dies while it waits.
func (v *pooled) guard() {
	defer close(v.left)
	for {
		select {
		case <-v.taken:
			return
		case _, ok := <-v.life.Reports():
			if ok {
				continue
			}
			if v.s.remove(v) {
				v.s.e.Log.Warn("a waiting VM has ended", "run", v.id, "error", v.life.Exit().Error)
				v.clear()
				v.s.wakeUp()
			}
			return
		}
	}
}

// remove takes one VM out of the pool, and reports whether it was there.
func (s *stock) remove(v *pooled) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.waiting, v)
	if i < 0 {
		return false
	}
	s.waiting = slices.Delete(s.waiting, i, i+1)
	return true
}

// take gives the VM of a key that has waited longest, or nil.
func (s *stock) take(key string) *pooled {
	s.mu.Lock()
	i := slices.IndexFunc(s.waiting, func(v *pooled) bool { return v.key == key })
	if i < 0 || s.closed {
		s.mu.Unlock()
		return nil
	}
	v := s.waiting[i]
	s.waiting = slices.Delete(s.waiting, i, i+1)
	s.mu.Unlock()
	close(v.taken)
	<-v.left
	return v
}

// giveDisk moves the VM's own disk, which it has mounted, to where an instance that has
// none wants one of that size. One that shall last has its name on the disk then.
func (v *pooled) giveDisk(to string, size int64, last bool) error {
	if size != v.size {
		return errors.New("it is of another size")
	}
	if err := os.Rename(v.run.Disk(), to); err != nil || !last {
		return err
	}
	err := durable.Sync(filepath.Dir(to))
	if err != nil {
		os.Remove(to)
	}
	return err
}

// end ends a VM that nobody took, or that its taker gave up.
func (v *pooled) end() {
	finish(v.life)
	v.clear()
}

// clear frees what a VM that has ended used.
func (v *pooled) clear() {
	v.s.e.Launcher.Clear(v.run)
	v.origin.Release()
}

// finish ends a life that is nobody's, and waits for its end.
func finish(life Life) {
	ctx, cancel := context.WithTimeout(context.Background(), actTimeout)
	defer cancel()
	life.Kill(ctx, instance.StoppedBy)
	for {
		select {
		case _, ok := <-life.Reports():
			if !ok {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// endAll ends VMs that were taken out of the pool.
func endAll(all []*pooled) {
	for _, v := range all {
		close(v.taken)
		<-v.left
		v.end()
	}
}

// Pool is how many VMs wait for an instance, and how many are wanted.
func (e *Engine) Pool() (ready, size int) {
	if e.stock == nil {
		return 0, 0
	}
	return e.stock.ready(""), e.Config.PoolSize
}

// save makes the template of an order.
func (s *stock) save(ctx context.Context, o order) error {
	ctx, cancel := context.WithTimeout(ctx, aheadTimes*s.e.Config.BootTimeout)
	defer cancel()
	began := time.Now()
	err := s.e.Templates.Make(ctx, o.shape, func(ctx context.Context, dir string) error {
		var u undo.Stack
		defer u.Run()
		id := instance.NewRunID()
		run := s.e.Home.Run(id)
		if err := os.MkdirAll(run.Dir, 0o700); err != nil {
			return err
		}
		u.Add(func() { s.e.Launcher.Clear(run) })
		launch := o.launch
		launch.Save = dir
		life, err := s.ahead(ctx, launch, id)
		if err != nil {
			return err
		}
		u.Add(func() { finish(life) })
		for {
			select {
			case _, ok := <-life.Reports():
				if ok {
					continue
				}
				if exit := life.Exit(); exit.Reason != instance.Saved {
					return errors.New(exit.Error)
				}
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
	if err == nil {
		s.e.Log.Info("made a template", "key", o.key, "took", time.Since(began).Round(time.Millisecond))
	}
	return err
}
