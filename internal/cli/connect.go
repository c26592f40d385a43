package cli

import (
	"context"
	"slices"

	"aegis/client"
	"aegis/internal/fault"
	"aegis/internal/paths"
)

// connect makes a client of the home's daemon, and starts that if none answers, then
// and whenever it turns out to have gone before it answered.
func (a *app) connect(ctx context.Context) (*client.Client, error) {
	home, err := paths.Locate(a.env)
	if err != nil {
		return nil, err
	}
	c := client.New(home.Socket())
	if a.noAutostart {
		return c, c.Reach(ctx)
	}
	start := func(ctx context.Context) error {
		if err := c.Reach(ctx); !fault.Is(err, fault.Unreachable) {
			return err
		}
		return a.launch(ctx, home)
	}
	c.Revive(start)
	return c, start(ctx)
}

// ready makes sure that a start has what it needs, and sets up if not, unless pull forbids that.
func (a *app) ready(ctx context.Context, c *client.Client, platform, pull string) error {
	s, err := c.Status(ctx)
	if err != nil || platform == "" && s.Ready || slices.Contains(s.Platforms, platform) {
		return err
	}
	a.platform = platform
	if pull == pullNever {
		return fault.New(fault.AssetMissing, "", "look for what a start needs", "kernel or default image is missing, and --pull is never")
	}
	return a.setUp(ctx, c, platform)
}

// setUp makes what instances of a platform lack.
func (a *app) setUp(ctx context.Context, c *client.Client, platform string) error {
	a.settingUp = true
	tell, end := a.steps()
	err := c.Setup(ctx, platform, tell)
	end()
	a.settingUp = err != nil
	return err
}

// connectReady is connect and ready, and brings the image that is named for a platform,
// unless pull forbids that.
func (a *app) connectReady(ctx context.Context, image, platform, pull string) (*client.Client, error) {
	c, err := a.connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := a.ready(ctx, c, platform, pull); err != nil {
		return nil, err
	}
	if pull == pullNever || image == "" && pull == pullMissing {
		return c, nil
	}
	_, err = a.pullImage(ctx, c, client.PullImage{Image: image, Platform: platform, When: pull})
	return c, err
}
