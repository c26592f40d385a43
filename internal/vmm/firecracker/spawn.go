package firecracker

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"aegis/internal/confine"
	"aegis/internal/undo"
	"aegis/internal/vmm"
	"aegis/internal/vmm/monitor"
)

// spawn starts a monitor that has been told nothing yet. special passes what it gets
// beyond the disks.
func (b *Backend) spawn(ctx context.Context, cfg vmm.Config, special func(*passed)) (*machine, error) {
	bin, err := find()
	if err != nil {
		return nil, err
	}
	if _, err := bin.version(ctx); err != nil {
		return nil, err
	}
	var failed, far undo.Stack
	defer failed.Run()
	defer far.Run()
	failed.Add(func() { sweep(cfg.Dir) })
	var files passed
	zeros, err := openZeros(cfg, &far)
	if err != nil {
		return nil, err
	}
	files.passDisks(cfg.Disks, zeros)
	special(&files)
	log, logEnd, err := fifo(filepath.Join(cfg.Dir, logPipe))
	if err != nil {
		return nil, err
	}
	failed.Add(func() { log.Close() })
	far.Add(func() { logEnd.Close() })
	console, consoleEnd, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	failed.Add(func() { console.Close() })
	far.Add(func() { consoleEnd.Close() })
	cmd := exec.Command(string(bin), commandLine()...)
	cmd.ExtraFiles = files
	cmd.Env = []string{} // not nil: nil would pass on ours
	cmd.Dir = cfg.Dir
	cmd.Stdout, cmd.Stderr = consoleEnd, logEnd
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	proc, err := start(cmd, confine.Rung(cfg.Confinement))
	if err != nil {
		return nil, fmt.Errorf("start %q: %w", string(bin), err)
	}
	failed.Keep()
	far.Run()
	m := newMachine(proc, cfg, console, log)
	if err := m.connect(ctx); err != nil {
		m.Close()
		return nil, m.lastWords(err)
	}
	return m, nil
}

// start runs cmd, held by that rung. It opens each of its files anew, and listens on the
// sockets of its API and of the guest's device.
func start(cmd *exec.Cmd, rung confine.Rung) (*monitor.Process, error) {
	stay := confine.Stay{Rung: rung, Serves: true, Needs: append(confine.Program(cmd.Path), confine.Need{Path: "/dev/kvm", Kind: confine.Device})}
	for i := range cmd.ExtraFiles {
		stay.Files = append(stay.Files, firstFD+i)
	}
	staged, err := confine.Stage(cmd, stay)
	if err != nil {
		return nil, err
	}
	defer staged()
	return monitor.Start(cmd)
}

// zeros is the size in bytes of a disk without a file: a guest looks for partitions.
const zeros = 1 << 20

// openZeros makes the file of the disks that have none, or nil where all have one. The
// file stays in the directory as long as the VM.
func openZeros(cfg vmm.Config, far *undo.Stack) (*os.File, error) {
	if !slices.ContainsFunc(cfg.Disks, func(d vmm.Disk) bool { return d.File == nil }) {
		return nil, nil
	}
	f, err := os.OpenFile(filepath.Join(cfg.Dir, zerosFile), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	far.Add(func() { f.Close() })
	return f, f.Truncate(zeros)
}

// fifo makes a named pipe, and opens both its ends: what reads it sees its end when no
// process has the other one any more.
func fifo(path string) (near, far *os.File, err error) {
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return nil, nil, fmt.Errorf("make the pipe %q: %w", path, err)
	}
	// A reader that does not wait can be opened before there is a writer.
	if near, err = os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0); err != nil {
		return nil, nil, err
	}
	if far, err = os.OpenFile(path, os.O_WRONLY, 0); err != nil {
		near.Close()
		return nil, nil, err
	}
	return near, far, nil
}

// sweep removes the monitor's files.
func sweep(dir string) {
	for _, name := range made {
		os.Remove(filepath.Join(dir, name))
	}
}

// apiPoll bounds how often connect looks for a socket that is not there yet.
const apiPoll = 20 * time.Millisecond

// connect waits for the API's socket.
func (m *machine) connect(ctx context.Context) error {
	for wait := time.Millisecond; ; wait = min(2*wait, apiPoll) {
		conn, err := m.dial(apiSocket)
		if err == nil {
			m.api = newAPI(conn)
			return nil
		}
		select {
		case <-m.Process.Exited:
			return vmm.ErrEnded
		case <-ctx.Done():
			return fmt.Errorf("wait for the API: %w", ctx.Err())
		case <-time.After(wait):
		}
	}
}

// dial connects to a socket in the VM's directory.
func (m *machine) dial(name string) (*net.UnixConn, error) {
	socket, err := openSocket(filepath.Join(m.dir, name))
	if err != nil {
		return nil, fmt.Errorf("connect to %q: %w", name, err)
	}
	defer socket.Close()
	return net.DialUnix("unix", nil, &net.UnixAddr{Name: fdPath(int(socket.Fd())), Net: "unix"})
}
