package api

import (
	"context"
	"net/http"

	"aegis/client"
)

// instances registers the routes of records.
func (s *server) instances() {
	type create struct{ Body client.Create }
	answer(s, operation("create-instance", http.MethodPost, "/instances", "Make a record; its state is STOPPED", http.StatusCreated),
		func(ctx context.Context, in *create) (client.Instance, error) {
			return s.Instances.Create(ctx, in.Body)
		})

	answer(s, operation("list-instances", http.MethodGet, "/instances", "All instances", http.StatusOK),
		func(ctx context.Context, _ *struct{}) ([]client.Instance, error) {
			list, err := array(s.Instances.List(ctx))
			for k := range list {
				list[k], _ = whole(list[k], nil)
			}
			return list, err
		})

	answer(s, operation("get-instance", http.MethodGet, "/instances/{ref}", "One instance", http.StatusOK),
		func(ctx context.Context, in *Target) (client.Instance, error) {
			return whole(s.Instances.Info(ctx, in.Ref))
		})

	type remove struct {
		Target
		Force bool `query:"force" doc:"stop it first"`
		Wait  bool `query:"wait" default:"true" doc:"false, with force: of a run, answer when nobody finds it any more; what it used is freed behind that"`
	}
	act(s, operation("delete-instance", http.MethodDelete, "/instances/{ref}", "Remove an instance and all it used", http.StatusNoContent),
		func(ctx context.Context, in *remove) error {
			if in.Force && !in.Wait {
				return s.Instances.Dismiss(ctx, in.Ref)
			}
			return s.Instances.Delete(ctx, in.Ref, in.Force)
		})
}

// array answers [] where Go has nil.
func array[T any](list []T, err error) ([]T, error) {
	if list == nil {
		list = []T{}
	}
	return list, err
}

// whole answers [] and {} where an instance has nil, so that clients need not
// tell the two apart.
func whole(i client.Instance, err error) (client.Instance, error) {
	i.Command, _ = array(i.Command, nil)
	i.Secrets, _ = array(i.Secrets, nil)
	i.Ports, _ = array(i.Ports, nil)
	i.AwakeBecause, _ = array(i.AwakeBecause, nil)
	i.Wakes, _ = array(i.Wakes, nil)
	if i.Env == nil {
		i.Env = map[string]string{}
	}
	if i.Labels == nil {
		i.Labels = map[string]string{}
	}
	return i, err
}
