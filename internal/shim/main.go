package shim

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"

	"aegis/internal/confine"
	"aegis/internal/instance"
	"aegis/internal/paths"
	"aegis/internal/undo"
	"aegis/internal/vmm/all"
	"aegis/internal/vmm/monitor"
	"aegis/internal/wire"

	"golang.org/x/sys/unix"
)

// fdReady is the pipe on which the shim says that it listens.
const fdReady = 3

// Main is the program aegis-shim, with its arguments: none for the owner of a VM,
// "fs" and "net" for the helpers. It returns the exit status.
func Main(args []string) int {
	if status, mine := confine.Main(args); mine {
		return status
	}
	if status, mine := monitor.GuardMain(args); mine {
		return status
	}
	ownDescriptors()
	err := confine.NoCores() // secrets pass through
	switch {
	case err != nil:
	case len(args) > 0 && args[0] == "fs":
		err = fsMain(args[1:])
	case len(args) > 0 && args[0] == "net":
		err = netMain(args[1:])
	case len(args) == 0:
		err = shimMain()
	default:
		err = fmt.Errorf("%q is not a part of it; aegisd starts this program", args[0])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "aegis-shim:", err)
		return 1
	}
	return 0
}

// shimMain reads its launch from standard input, listens, says so, and lives.
func shimMain() error {
	var u undo.Stack
	defer u.Run()
	body, err := io.ReadAll(io.LimitReader(os.Stdin, wire.MaxRequest))
	if err != nil {
		return fmt.Errorf("read the launch: %w", err)
	}
	var launch instance.Launch
	if err := json.Unmarshal(body, &launch); err != nil {
		return fmt.Errorf("read the launch: %w", err)
	}
	backend, err := all.On(launch.Backend, launch.Arch, launch.Accelerator)
	if err != nil {
		return err
	}
	r := newRun(launch)
	if to := launch.Assignment; to != nil {
		if err := r.take(*to); err != nil {
			return err
		}
	} else {
		r.yield()
	}
	listener, err := listen(paths.Run{Dir: launch.RunDir})
	if err != nil {
		return err
	}
	u.Add(func() { listener.Close() })
	ready := os.NewFile(fdReady, "ready")
	if _, err := ready.Write([]byte{'\n'}); err != nil {
		return fmt.Errorf("tell the daemon: %w", err)
	}
	ready.Close()
	r.ops.Go(func() { r.serve(listener) })
	r.stray(r.dir.Socket())
	r.live(backend)
	r.farewell(listener)
	return nil
}

// listen binds the run's socket, 0600.
func listen(dir paths.Run) (*net.UnixListener, error) {
	defer unix.Umask(unix.Umask(0o177))
	return net.ListenUnix("unix", &net.UnixAddr{Name: dir.Socket()})
}
