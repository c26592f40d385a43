package daemon

import (
	"context"

	"aegis/client"
	"aegis/internal/secret"
)

// sealed gives the engine what it needs of the secrets.
type sealed struct{ *secret.Box }

// Versions are the secrets' versions by name.
func (s sealed) Versions() (map[string]string, error) {
	list, err := s.List()
	if err != nil {
		return nil, err
	}
	versions := make(map[string]string, len(list))
	for _, info := range list {
		versions[info.Name] = info.Version
	}
	return versions, nil
}

// vault gives the API what it needs of the secrets.
type vault struct{ box *secret.Box }

func (v vault) Set(_ context.Context, name string, value []byte) error { return v.box.Set(name, value) }

func (v vault) Delete(_ context.Context, name string) error { return v.box.Delete(name) }

func (v vault) List(context.Context) ([]client.Secret, error) {
	list, err := v.box.List()
	if err != nil {
		return nil, err
	}
	out := make([]client.Secret, 0, len(list))
	for _, info := range list {
		out = append(out, client.Secret{Name: info.Name, UpdatedAt: info.UpdatedAt})
	}
	return out, nil
}
