package engine

import (
	"context"

	"aegis/client"
	"aegis/internal/fault"
	"aegis/internal/instance"
)

// Wait returns how an instance's life ended, when it is STOPPED: at once if it is
// already. One that has never run is a fault.WrongState.
func (e *Engine) Wait(ctx context.Context, ref string) (client.Exit, error) {
	a, err := e.find(ctx, ref)
	if err != nil {
		return client.Exit{}, err
	}
	ended := make(chan instance.Exit, 1)
	err = a.ask(ctx, func() error {
		switch {
		case a.rec.State != instance.Stopped:
			a.waits = append(a.waits, ended)
		case a.rec.Exit == nil:
			return a.refuse("wait for", fault.New(fault.WrongState, "", "", "it has never run"))
		default:
			ended <- *a.rec.Exit
		}
		return nil
	})
	if err != nil {
		return client.Exit{}, err
	}
	select {
	case exit := <-ended:
		return *renderExit(&exit), nil
	case <-ctx.Done():
		return client.Exit{}, fault.New(fault.Cancelled, ref, "wait for instance "+quote(ref), "%w", context.Cause(ctx))
	case <-e.ctx.Done():
		return client.Exit{}, fault.New(fault.Unreachable, ref, "wait for instance "+quote(ref), "the daemon is going down")
	}
}
