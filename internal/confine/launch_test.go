//go:build linux

package confine

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// Descriptors of the probe.
const (
	passed  = firstFile // a connected UDP socket, as the shim passes them to net
	foreign = 77        // the launcher leaves it open
)

// The words of the probe's processes.
const (
	launchWord  = "launch"  // WORD KIND RUNG TARGET: starts one of the others as the shim would
	probeWord   = "probe"   // KIND RUNG TARGET DETACHED: is confined and tries
	tortureWord = "torture" // the same: is confined, and uses all of the Go runtime
	panicWord   = "panic"   // the same: and ends as a fault in it would
)

// The kinds of what is confined.
const (
	kindVMM  = "QEMU"
	kindAPI  = "Firecracker" // which serves: it listens in a directory of its own
	kindLib  = "libkrun"     // which loads libraries and opens disks anew
	kindFS   = "fs"
	kindNet  = "net"
	kindOpen = "image"
	kindShim = "shim" // which is confined late, and keeps files and sockets
)

// launchMain stands for the shim: it starts another as that starts its parts.
func launchMain(word, kind string, rung Rung, aim string) error {
	unix.Dup3(2, foreign, 0)
	unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, word, kind, string(rung), aim, "")
	cmd.Env, cmd.Stdout, cmd.Stderr = []string{}, os.Stdout, os.Stderr
	switch kind {
	case kindVMM:
		return staged(cmd, Stay{Rung: rung, Needs: []Need{{Path: self, Kind: Run}, {Path: "/dev/urandom", Kind: Device}}})
	case kindAPI, kindShim:
		dir, err := os.MkdirTemp("", "own")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		if cmd.Dir = dir; kind == kindAPI {
			return staged(cmd, Stay{Rung: rung, Needs: []Need{{Path: self, Kind: Run}}, Serves: true})
		}
	case kindLib:
		disk, err := os.CreateTemp("", "disk")
		if err != nil {
			return err
		}
		defer os.Remove(disk.Name())
		cmd.ExtraFiles = []*os.File{disk}
		return staged(cmd, Stay{Rung: rung, Needs: append(Program(self), Need{Path: "/dev/kvm", Kind: Device}), Files: []int{firstFile}})
	case kindNet:
		f, err := dialed(aim)
		if err != nil {
			return err
		}
		cmd.ExtraFiles = []*os.File{f}
		Prepare(cmd, rung, Nobody)
	case kindOpen:
		Prepare(cmd, rung, Nobody)
	case kindFS:
		dir, err := os.MkdirTemp("", "served")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		f, err := os.Open(dir)
		if err != nil {
			return err
		}
		if rung.Namespaces() && os.Geteuid() == 0 {
			if f, err = Detach(f, false); err != nil {
				return err
			}
			cmd.Args[len(cmd.Args)-1] = "detached"
		}
		cmd.ExtraFiles = []*os.File{f}
		Prepare(cmd, rung, Caller())
	}
	return cmd.Run()
}

func staged(cmd *exec.Cmd, s Stay) error {
	done, err := Stage(cmd, s)
	if err != nil {
		return err
	}
	defer done()
	return cmd.Run()
}

// probeMain is confined, and tries everything. A name without a result is where it ended.
func probeMain(kind string, rung Rung, aim, detached string) error {
	var t target
	if err := json.Unmarshal([]byte(aim), &t); err != nil {
		return err
	}
	room := Room{Calls: Frames}
	switch kind {
	case kindFS:
		room = Room{Calls: Files, Dir: os.NewFile(3, "served"), Detached: detached != ""}
	case kindOpen:
		room = Room{Calls: Open}
	}
	begin := elsewhere(func() {
		for _, p := range probes {
			fmt.Print(p.name + "\t")
			fmt.Println(said(p.try(t)))
		}
	})
	switch kind {
	case kindVMM, kindAPI, kindLib: // its stage has confined it
	case kindShim:
		if err := Seal(rung, ownReach); err != nil {
			return err
		}
	default:
		if _, err := Enter(rung, room); err != nil {
			return err
		}
	}
	begin()
	return nil
}

// ownReach is what a sealed probe opens: what is in its own directory, and a file.
var ownReach = Reach{Change: []string{"."}, Read: []string{"/etc/hostname", "/nonexistent"}}

// elsewhere gives a function that runs f, on a thread that is there already and is not
// the caller's: the confinement is for all of them.
func elsewhere(f func()) func() {
	runtime.LockOSThread()
	there, begin, end := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		close(there)
		<-begin
		f()
		close(end)
	}()
	<-there
	return func() { close(begin); <-end }
}

func said(err error) string {
	var errno unix.Errno
	switch {
	case err == nil:
		return allowed
	case errors.As(err, &errno):
		return unix.ErrnoName(errno)
	}
	return err.Error()
}

// dialed is a socket that leads to where the target says.
func dialed(aim string) (*os.File, error) {
	var t target
	if err := json.Unmarshal([]byte(aim), &t); err != nil {
		return nil, err
	}
	conn, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: loopback[:], Port: t.Port})
	if err != nil {
		return nil, err
	}
	return conn.File()
}

// allowed is the result of a probe that was not refused.
const allowed = "allowed"
