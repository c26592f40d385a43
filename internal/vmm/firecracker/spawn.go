package firecracker

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

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
	proc, err := monitor.Start(cmd)
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
		case <-m.proc.Exited:
			return vmm.ErrEnded
		case <-ctx.Done():
			return fmt.Errorf("wait for the API: %w", ctx.Err())
		case <-time.After(wait):
		}
	}
}

// dial connects to a socket in the VM's directory. That is open, and so the path is
// short enough for an address wherever the directory is.
func (m *machine) dial(name string) (*net.UnixConn, error) {
	dir, err := os.Open(m.dir)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	path := fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), name)
	if info, err := os.Lstat(path); err != nil || info.Mode()&fs.ModeSocket == 0 {
		return nil, fmt.Errorf("connect to %q: it is no socket (%w)", name, err)
	}
	return net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
}
