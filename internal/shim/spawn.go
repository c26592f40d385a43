package shim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"aegis/internal/cgroup"
	"aegis/internal/instance"
	"aegis/internal/paths"
	"aegis/internal/undo"
)

// spawnTimeout is how long a shim may take to listen.
const spawnTimeout = 10 * time.Second

// Spawn starts a shim for launch with the given program and returns when it
// listens; the VM boots meanwhile. The run's directory must exist. On an error no
// process is left. The shim lives on when this process ends. All of the run is in the
// group; nil is none.
func Spawn(ctx context.Context, program string, launch instance.Launch, group *cgroup.Group) (*Client, error) {
	var u undo.Stack
	defer u.Run()
	dir := paths.Run{Dir: launch.RunDir}
	body, err := json.Marshal(launch)
	if err != nil {
		return nil, err
	}
	said, err := os.OpenFile(dir.Log(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start the shim: %w", err)
	}
	defer said.Close()
	listening, ready, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start the shim: %w", err)
	}
	defer listening.Close()
	cmd := exec.Command(program)
	cmd.Dir = launch.RunDir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	cmd.Stdin = bytes.NewReader(body)
	cmd.Stderr = said
	cmd.ExtraFiles = []*os.File{ready}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := group.Enter(cmd); err != nil {
		return nil, fmt.Errorf("start the shim: %w", err)
	}
	err = cmd.Start()
	ready.Close()
	if err != nil {
		return nil, fmt.Errorf("start the shim: %w", err)
	}
	go cmd.Wait()
	u.Add(func() { cmd.Process.Kill() })
	listening.SetReadDeadline(deadline(ctx, spawnTimeout))
	if n, err := listening.Read(make([]byte, 1)); n == 0 {
		if errors.Is(err, io.EOF) {
			err = errors.New("it ended")
		}
		return nil, fmt.Errorf("start the shim: it did not begin to listen: %w%s", err, lastWords(dir))
	}
	client, _, err := Connect(ctx, dir)
	if err != nil {
		return nil, err
	}
	u.Keep()
	return client, nil
}

// lastWords is the end of what a shim printed, as the tail of a message.
func lastWords(dir paths.Run) string {
	body, err := os.ReadFile(dir.Log())
	if err != nil || len(body) == 0 {
		return ""
	}
	return ": " + strings.TrimSpace(string(body[max(0, len(body)-500):]))
}

// deadline is the earlier of ctx's and limit from now.
func deadline(ctx context.Context, limit time.Duration) time.Time {
	at := time.Now().Add(limit)
	if d, ok := ctx.Deadline(); ok && d.Before(at) {
		return d
	}
	return at
}
