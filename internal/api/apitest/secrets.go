package apitest

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"aegis/client"
	"aegis/internal/fault"
)

type secrets Fake

func (s *secrets) Set(_ context.Context, name string, value []byte) error {
	f := (*Fake)(s)
	if err := f.enter("SetSecret", name); err != nil {
		return err
	}
	defer f.mu.Unlock()
	if f.values == nil {
		f.values = map[string][]byte{}
	}
	f.values[name] = bytes.Clone(value)
	return nil
}

func (s *secrets) List(context.Context) ([]client.Secret, error) {
	f := (*Fake)(s)
	if err := f.enter("Secrets", ""); err != nil {
		return nil, err
	}
	defer f.mu.Unlock()
	var out []client.Secret
	for name := range f.values {
		out = append(out, client.Secret{Name: name, UpdatedAt: Epoch})
	}
	slices.SortFunc(out, func(a, b client.Secret) int { return bytes.Compare([]byte(a.Name), []byte(b.Name)) })
	return out, nil
}

func (s *secrets) Delete(_ context.Context, name string) error {
	f := (*Fake)(s)
	if err := f.enter("DeleteSecret", name); err != nil {
		return err
	}
	defer f.mu.Unlock()
	if _, ok := f.values[name]; !ok {
		return fault.New(fault.SecretMissing, name, fmt.Sprintf("delete secret %q", name), "it is not set")
	}
	delete(f.values, name)
	return nil
}
