package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

const instances = "instances"

// Create makes the record of an instance; its state is STOPPED.
func (c *Client) Create(ctx context.Context, spec Create) (Instance, error) {
	var out Instance
	err := c.call(ctx, "create instance", http.MethodPost, "/"+instances, spec, &out)
	return out, err
}

// List returns all instances.
func (c *Client) List(ctx context.Context) ([]Instance, error) {
	out := []Instance{}
	err := c.call(ctx, "list instances", http.MethodGet, "/"+instances, nil, &out)
	return out, err
}

// Info returns one instance. Here and below ref is a name, an ID, or the
// beginning of an ID that only one has.
func (c *Client) Info(ctx context.Context, ref string) (Instance, error) {
	var out Instance
	err := c.call(ctx, fmt.Sprintf("look at instance %q", ref), http.MethodGet, at(instances, ref, ""), nil, &out)
	return out, err
}

// Start starts a STOPPED instance or resumes a PAUSED one, and returns when its
// command runs.
func (c *Client) Start(ctx context.Context, ref string) (Instance, error) {
	var out Instance
	err := c.call(ctx, fmt.Sprintf("start instance %q", ref), http.MethodPost, at(instances, ref, "start"), nil, &out)
	return out, err
}

// Stop ends the command with SIGTERM, after grace with SIGKILL, and returns when
// the VM is gone. A negative grace is the daemon's default.
func (c *Client) Stop(ctx context.Context, ref string, grace time.Duration) error {
	return c.call(ctx, fmt.Sprintf("stop instance %q", ref), http.MethodPost, withGrace(at(instances, ref, "stop"), grace), nil, nil)
}

// Restart stops an instance if it runs, as Stop does, starts it, and returns when
// its command runs.
func (c *Client) Restart(ctx context.Context, ref string, grace time.Duration) (Instance, error) {
	var out Instance
	err := c.call(ctx, fmt.Sprintf("restart instance %q", ref), http.MethodPost, withGrace(at(instances, ref, "restart"), grace), nil, &out)
	return out, err
}

func withGrace(path string, grace time.Duration) string {
	if grace < 0 {
		return path
	}
	return path + "?grace=" + url.QueryEscape(grace.String())
}

// Wait returns how the instance's life ended, when it is STOPPED: at once if it
// is already. One that has never run is a "wrong_state".
func (c *Client) Wait(ctx context.Context, ref string) (Exit, error) {
	var out Exit
	err := c.call(ctx, fmt.Sprintf("wait for instance %q", ref), http.MethodGet, at(instances, ref, "wait"), nil, &out)
	return out, err
}

// Pause stops the instance's processors; its memory stays.
func (c *Client) Pause(ctx context.Context, ref string) error {
	return c.call(ctx, fmt.Sprintf("pause instance %q", ref), http.MethodPost, at(instances, ref, "pause"), nil, nil)
}

// Resume lets a PAUSED instance go on.
func (c *Client) Resume(ctx context.Context, ref string) error {
	return c.call(ctx, fmt.Sprintf("resume instance %q", ref), http.MethodPost, at(instances, ref, "resume"), nil, nil)
}

// Delete removes a STOPPED instance and all it used, but not a workspace that
// the user named. force stops it first.
func (c *Client) Delete(ctx context.Context, ref string, force bool) error {
	path := at(instances, ref, "")
	if force {
		path += "?force=true"
	}
	return c.call(ctx, fmt.Sprintf("delete instance %q", ref), http.MethodDelete, path, nil, nil)
}

// Dismiss deletes an instance as Delete does with force. Of a run it returns when nobody
// finds it any more: its VM and its files go behind that, and whoever wants its name or
// its ports meanwhile waits.
func (c *Client) Dismiss(ctx context.Context, ref string) error {
	path := at(instances, ref, "") + "?force=true&wait=false"
	return c.call(ctx, fmt.Sprintf("delete instance %q", ref), http.MethodDelete, path, nil, nil)
}

// Prune deletes the instances that have been STOPPED for longer than age, with
// their logs and disks, and returns their names. Workspaces stay.
func (c *Client) Prune(ctx context.Context, age time.Duration) ([]string, error) {
	out := []string{}
	path := "/" + instances + "/prune?stopped_older_than=" + url.QueryEscape(age.String())
	err := c.call(ctx, "prune instances", http.MethodPost, path, nil, &out)
	return out, err
}
