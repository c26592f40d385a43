package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"

	"aegis/internal/fault"
)

// Version says which daemon answers. It works between all versions.
func (c *Client) Version(ctx context.Context) (Version, error) {
	var out Version
	err := c.call(ctx, "reach the daemon", http.MethodGet, "/version", nil, &out)
	return out, err
}

// Status describes the daemon. It works between all versions.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var out Status
	err := c.call(ctx, "ask for the daemon's status", http.MethodGet, "/status", nil, &out)
	return out, err
}

// Config lists the settings that the daemon runs with.
func (c *Client) Config(ctx context.Context) ([]Setting, error) {
	out := []Setting{}
	err := c.call(ctx, "ask for the daemon's configuration", http.MethodGet, "/config", nil, &out)
	return out, err
}

// Down stops every VM and the daemon. It works between all versions.
func (c *Client) Down(ctx context.Context) error {
	return c.call(ctx, "stop the daemon", http.MethodPost, "/down", nil, nil)
}

// DefaultImage names Aegis's own image.
const DefaultImage = "default"

// SetupFor says for which instances a set-up is.
type SetupFor struct {
	Platform string // "" is the host's
	Image    string // that they are made from; Setup makes DefaultImage, and for "" brings the configured one too
}

// BringsImage reports whether their image is left to PullImage and ImportImage.
func (s SetupFor) BringsImage() bool { return s.Image != "" && s.Image != DefaultImage }

// Setup makes what a first start of an instance needs and is missing. progress is called
// for each step, from one goroutine, before Setup returns.
func (c *Client) Setup(ctx context.Context, instances SetupFor, progress func(Progress)) error {
	const what = "set up"
	query := url.Values{"platform": {instances.Platform}, "image": {instances.Image}}
	resp, err := c.request(ctx, what, http.MethodPost, "/setup?"+query.Encode(), nil, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	decoder := json.NewDecoder(bufio.NewReader(resp.Body))
	for {
		var p Progress
		err := decoder.Decode(&p)
		switch {
		case errors.Is(err, io.EOF):
			return nil // the stream ends cleanly only after the last step
		case err != nil:
			return c.broken(ctx, what, err)
		case p.Error != nil && p.Error.Code != "":
			return &Error{Problem: *p.Error}
		case p.Error != nil:
			return problem(fault.Internal, "", what, "it failed without a reason", nil)
		}
		progress(p)
	}
}
