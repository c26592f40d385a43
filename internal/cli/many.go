package cli

import (
	"context"
	"fmt"
	"sync"

	"aegis/client"
	"aegis/internal/fault"
)

// manyAtOnce is how many instances a command acts on at the same time.
const manyAtOnce = 8

// many acts on each name and prints those that succeeded, in order. Each failure
// is reported; the worst one gives the exit status.
func (a *app) many(ctx context.Context, names []string, act func(context.Context, *client.Client, string) error) error {
	c, err := a.connect(ctx)
	if err != nil {
		return err
	}
	shown := a.waiting(names...)
	errs := make([]error, len(names))
	slots := make(chan struct{}, manyAtOnce)
	var group sync.WaitGroup
	for k, name := range names {
		slots <- struct{}{}
		group.Go(func() {
			errs[k] = act(ctx, c, name)
			<-slots
		})
	}
	group.Wait()
	shown.stop()
	worst := status(0)
	for k, name := range names {
		if errs[k] == nil {
			fmt.Fprintln(a.out, name)
			continue
		}
		a.report(errs[k])
		worst = max(worst, status(fault.As(errs[k]).Kind.Exit()))
	}
	if worst > 0 {
		return worst
	}
	return nil
}
