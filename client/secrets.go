package client

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
)

// MaxSecret is the longest value of a secret, in bytes.
const MaxSecret = 64 << 10

const secrets = "secrets"

// SetSecret stores a value, sealed. It replaces an older one of the name.
func (c *Client) SetSecret(ctx context.Context, name string, value []byte) error {
	header := http.Header{"Content-Type": {"application/octet-stream"}}
	what := fmt.Sprintf("set secret %q", name)
	resp, err := c.request(ctx, what, http.MethodPut, at(secrets, name, ""), bytes.NewReader(value), header)
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// Secrets lists the stored secrets, without their values.
func (c *Client) Secrets(ctx context.Context) ([]Secret, error) {
	out := []Secret{}
	err := c.call(ctx, "list secrets", http.MethodGet, "/"+secrets, nil, &out)
	return out, err
}

// DeleteSecret removes one.
func (c *Client) DeleteSecret(ctx context.Context, name string) error {
	return c.call(ctx, fmt.Sprintf("delete secret %q", name), http.MethodDelete, at(secrets, name, ""), nil, nil)
}
