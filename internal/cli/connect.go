package cli

import (
	"cmp"
	"context"
	"slices"

	"aegis/client"
	"aegis/internal/fault"
	"aegis/internal/instance"
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

// ready makes sure that a start has what it needs beside an image that is named for it, and
// sets up if not, unless pull forbids that.
func (a *app) ready(ctx context.Context, c *client.Client, instances client.SetupFor, pull string) error {
	s, err := c.Status(ctx)
	if err != nil {
		return err
	}
	platform, there, lack := cmp.Or(instances.Platform, instance.Host), s.Platforms, "kernel or default image is missing"
	if instances.BringsImage() {
		there, lack = s.Kernels, "the kernel is missing"
	}
	if slices.Contains(there, platform) {
		return nil
	}
	a.platform = instances.Platform
	if pull == pullNever {
		return fault.New(fault.AssetMissing, "", "look for what a start needs", "%s, and --pull is never", lack)
	}
	return a.setUp(ctx, c, instances)
}

// setUp makes what instances lack.
func (a *app) setUp(ctx context.Context, c *client.Client, instances client.SetupFor) error {
	a.settingUp = true
	tell, end := a.steps()
	err := c.Setup(ctx, instances, tell)
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
	if err := a.ready(ctx, c, client.SetupFor{Platform: platform, Image: image}, pull); err != nil {
		return nil, err
	}
	if pull == pullNever || image == "" && pull == pullMissing {
		return c, nil
	}
	_, err = a.pullImage(ctx, c, client.PullImage{Image: image, Platform: platform, When: pull})
	return c, err
}
