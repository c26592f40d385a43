package api

import (
	"context"
	"net/http"

	"aegis/client"
)

// secrets registers the routes of sealed values.
func (s *server) secrets() {
	type set struct {
		Name    string `path:"name"`
		RawBody []byte `contentType:"application/octet-stream"`
	}
	op := operation("set-secret", http.MethodPut, "/secrets/{name}", "Store a value: the body, at most 64 KiB", http.StatusNoContent)
	op.MaxBodyBytes = client.MaxSecret + 1 // the library refuses a body of just this length
	act(s, op, func(ctx context.Context, in *set) error {
		defer clear(in.RawBody) // the buffer is used again
		return s.Secrets.Set(ctx, in.Name, in.RawBody)
	})

	answer(s, operation("list-secrets", http.MethodGet, "/secrets", "Names of the stored secrets", http.StatusOK),
		func(ctx context.Context, _ *struct{}) ([]client.Secret, error) { return array(s.Secrets.List(ctx)) })

	type remove struct {
		Name string `path:"name"`
	}
	act(s, operation("delete-secret", http.MethodDelete, "/secrets/{name}", "Remove a secret", http.StatusNoContent),
		func(ctx context.Context, in *remove) error { return s.Secrets.Delete(ctx, in.Name) })
}
