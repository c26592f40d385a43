package client

import (
	"context"
	"io"
	"net/http"
)

// Events returns the last 1000 events since the daemon began, as NDJSON, one Event
// each, oldest first; with follow it goes on with later ones until ctx ends. The
// caller closes it. A read fails with an *Error when the daemon goes away. A
// reader that falls behind too far gets an event "lost".
func (c *Client) Events(ctx context.Context, follow bool) (io.ReadCloser, error) {
	const what = "read the events"
	path := "/events"
	if follow {
		path += "?follow=true"
	}
	resp, err := c.request(ctx, what, http.MethodGet, path, nil, nil)
	if err != nil {
		return nil, err
	}
	return &stream{resp.Body, func(err error) error { return c.broken(ctx, what, err) }}, nil
}
