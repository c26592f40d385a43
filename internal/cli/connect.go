package cli

import (
	"context"

	"aegis/client"
	"aegis/internal/fault"
	"aegis/internal/paths"
)

// connect makes a client of the home's daemon, and starts that if none answers.
func (a *app) connect(ctx context.Context) (*client.Client, error) {
	home, err := paths.Locate(a.env)
	if err != nil {
		return nil, err
	}
	c := client.New(home.Socket())
	if err := c.Reach(ctx); !fault.Is(err, fault.Unreachable) {
		return c, err
	} else if a.noAutostart {
		return nil, err
	}
	return c, a.launch(ctx, home, c)
}

// ready makes sure that a start has what it needs, and sets up if not, unless pull forbids that.
func (a *app) ready(ctx context.Context, c *client.Client, pull string) error {
	s, err := c.Status(ctx)
	if err != nil || s.Ready {
		return err
	}
	if pull == pullNever {
		return fault.New(fault.AssetMissing, "", "look for what a start needs", "kernel or default image is missing, and --pull is never")
	}
	return a.setUp(ctx, c)
}

// setUp makes what is missing.
func (a *app) setUp(ctx context.Context, c *client.Client) error {
	a.settingUp = true
	tell, end := a.steps()
	err := c.Setup(ctx, tell)
	end()
	a.settingUp = err != nil
	return err
}

// connectReady is connect and ready, and brings the image that is named, unless pull
// forbids that.
func (a *app) connectReady(ctx context.Context, image, pull string) (*client.Client, error) {
	c, err := a.connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := a.ready(ctx, c, pull); err != nil {
		return nil, err
	}
	if pull == pullNever || image == "" && pull == pullMissing {
		return c, nil
	}
	_, err = a.pullImage(ctx, c, client.PullImage{Image: image, When: pull})
	return c, err
}
