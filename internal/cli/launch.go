package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"aegis/client"
	"aegis/internal/fault"
	"aegis/internal/paths"
)

const (
	daemonProgram = "aegisd"
	startDaemon   = "start the daemon"
	// readyTimeout bounds a daemon's start. It adopts running VMs before it is
	// ready, which takes milliseconds each.
	readyTimeout = 60 * time.Second
	// endTimeout is how long one that is not going to be ready is waited for.
	endTimeout = 5 * time.Second
	// lockTimeout is how long another daemon that starts or ends is waited for.
	lockTimeout = 10 * time.Second
	// pollEvery is the pause between two looks at such a daemon.
	pollEvery = 50 * time.Millisecond
	// maxReady bounds what a daemon says on its ready descriptor, in bytes.
	maxReady = 64 << 10
)

// launch starts aegisd, detached, and returns when a daemon answers: this one, or
// another that started at the same time. An aegisd that finds the home's lock
// held says fault.WrongState; the holder may be about to answer or about to end.
func (a *app) launch(ctx context.Context, home paths.Home) error {
	program, err := a.findDaemon()
	if err != nil {
		return err
	}
	if err := home.Prepare(); err != nil {
		return err
	}
	shown := a.display(func(elapsed time.Duration, _ int) string {
		return startDaemon + ": " + elapsed.Truncate(time.Second).String()
	})
	defer shown.stop()
	other := client.New(home.Socket()) // not the caller's: a request of that would come here again
	defer other.Close()
	deadline := time.Now().Add(lockTimeout)
	for {
		err := a.spawn(program, home)
		if !fault.Is(err, fault.WrongState) || time.Now().After(deadline) {
			return err
		}
		if _, verr := other.Version(ctx); !fault.Is(verr, fault.Unreachable) {
			return verr
		}
		select {
		case <-ctx.Done():
			return &fault.Error{Kind: fault.Cancelled, What: startDaemon, Why: "it was cancelled"}
		case <-time.After(pollEvery):
		}
	}
}

// spawn runs one aegisd and waits until it is ready or says why not.
func (a *app) spawn(program string, home paths.Home) error {
	log, err := os.OpenFile(home.DaemonLog(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fault.New(fault.Internal, "", startDaemon, "%w", err)
	}
	defer log.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return fault.New(fault.Internal, "", startDaemon, "%w", err)
	}
	defer r.Close()
	cmd := exec.Command(program, "--ready-fd", "3")
	cmd.Env = a.daemonEnv(os.Environ())
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{w} // descriptor 3 (os/exec)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	w.Close()
	if err != nil {
		return fault.New(fault.Unreachable, "", startDaemon, "%w", err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	r.SetReadDeadline(time.Now().Add(readyTimeout))
	if err = readReady(r); err != nil {
		select { // one that says why not ends, and is not left behind
		case <-ended:
		case <-time.After(endTimeout):
		}
	}
	return err
}

// readReady reads what aegisd says on its ready descriptor: "ok", or a Problem.
func readReady(r io.Reader) error {
	line, err := bufio.NewReader(io.LimitReader(r, maxReady)).ReadString('\n')
	if line == "ok\n" {
		return nil
	}
	var p client.Problem
	if json.Unmarshal([]byte(line), &p) == nil && p.Code != "" {
		return &client.Error{Problem: p}
	}
	why := "it ended before it was ready"
	if os.IsTimeout(err) {
		why = fmt.Sprintf("it was not ready within %s", readyTimeout)
	}
	return &fault.Error{Kind: fault.Unreachable, What: startDaemon, Why: why, Cause: err}
}

// findDaemon looks beside the aegis that runs, then where make install puts it,
// then on PATH.
func (a *app) findDaemon() (string, error) {
	self, err := os.Executable()
	if err == nil {
		self, err = filepath.EvalSymlinks(self)
	}
	if err == nil {
		dir := filepath.Dir(self)
		for _, name := range []string{filepath.Join(dir, daemonProgram), filepath.Join(dir, "..", "libexec", "aegis", daemonProgram)} {
			if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() {
				return name, nil
			}
		}
	}
	name, err := exec.LookPath(daemonProgram)
	if err != nil {
		return "", fault.New(fault.Unreachable, daemonProgram, startDaemon,
			"%s is neither beside %s, nor in ../libexec/aegis, nor on PATH", daemonProgram, self)
	}
	return name, nil
}

// inherited are the variables that aegisd may need. The others stay out of its
// environment: any of them may be a secret that its user is about to store.
var inherited = []string{"HOME", "PATH", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "TMPDIR", "DBUS_SESSION_BUS_ADDRESS", "DISPLAY",
	"http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE"}

func (a *app) daemonEnv(environ []string) []string {
	var out []string
	for _, kv := range environ {
		name, _, _ := strings.Cut(kv, "=")
		if strings.HasPrefix(name, "AEGIS_") || strings.HasPrefix(name, "XDG_") || strings.HasPrefix(name, "LC_") || slices.Contains(inherited, name) {
			out = append(out, kv)
		}
	}
	return out
}
