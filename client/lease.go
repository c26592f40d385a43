package client

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// Hold keeps an instance awake for d, from one second to 24 hours, whatever it
// does; a PAUSED one is resumed. It replaces the lease of an earlier Hold. reason,
// of at most 200 bytes, is what Instance.AwakeBecause says.
func (c *Client) Hold(ctx context.Context, ref string, d time.Duration, reason string) (Instance, error) {
	var out Instance
	err := c.call(ctx, fmt.Sprintf("hold instance %q", ref), http.MethodPost, at(instances, ref, "lease"), Lease{For: d.String(), Reason: reason}, &out)
	return out, err
}

// Release drops the lease that Hold took; without one it does nothing.
func (c *Client) Release(ctx context.Context, ref string) (Instance, error) {
	var out Instance
	err := c.call(ctx, fmt.Sprintf("release instance %q", ref), http.MethodDelete, at(instances, ref, "lease"), nil, &out)
	return out, err
}
