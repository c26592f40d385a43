package shim

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"aegis/internal/paths"
)

const (
	// lowNice leaves a tenth of a processor to what another one wants as well (sched(7)).
	// With less, nothing would ever be made ahead on a host that is always busy.
	lowNice = "10"
	// usualNice is that of a new session's autogroup (sched(7)).
	usualNice = "0"
	// lowWeight is the same for a group, where 100 is usual (cgroup-v2.rst, cpu.weight).
	lowWeight = "10"
)

// rank is what a run whose machine nobody waits for has given up of a busy host's
// processors; nil is nothing.
type rank struct {
	share *os.File // takes usual
	usual string
}

// yield puts this process, and all that it starts in its session and its group, behind
// the host's other work: in the run's own group, if that shares processors out, else as
// this session's autogroup, which is what shares them out then and, unlike a nice value,
// may be given its rank back by an ordinary user (sched(7), "The autogroup feature"). A
// kernel without either has nothing that could be given back, and nothing is given up.
func yield(dir paths.Run) (*rank, error) {
	if group, err := os.ReadFile(dir.Group()); err == nil {
		weight := filepath.Join(string(group), "cpu.weight")
		usual, err := os.ReadFile(weight)
		if err == nil {
			return give(weight, lowWeight, strings.TrimSpace(string(usual)))
		}
		if !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
	}
	r, err := give("/proc/self/autogroup", lowNice, usualNice)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return r, err
}

// give writes a lower share.
func give(path, low, usual string) (*rank, error) {
	share, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	if err := put(share, low); err != nil {
		share.Close()
		return nil, err
	}
	return &rank{share: share, usual: usual}, nil
}

// restore takes back what was given up. It is for one caller, once.
func (r *rank) restore() error {
	if r == nil {
		return nil
	}
	defer r.share.Close()
	return put(r.share, r.usual)
}

// An ordinary user may change an autogroup's rank each tenth of a second, whosever it is
// (kernel/sched/autogroup.c). So one is tried again for rankTime, each rankEvery.
const (
	rankTime  = 5 * time.Second
	rankEvery = 20 * time.Millisecond
)

func put(share *os.File, value string) error {
	for late := time.Now().Add(rankTime); ; time.Sleep(rankEvery) {
		_, err := share.Write([]byte(value))
		if err == nil || !errors.Is(err, syscall.EAGAIN) || time.Now().After(late) {
			return err
		}
	}
}

// makerNice is lowNice for setpriority(2).
const makerNice = 10

// recede is yield for good. So the nice value is lowered as well (setpriority(2)), which
// counts where nothing shares processors out among groups.
func recede(dir paths.Run) error {
	if err := unix.Setpriority(unix.PRIO_PGRP, 0, makerNice); err != nil {
		return fmt.Errorf("lower the priority: %w", err)
	}
	r, err := yield(dir)
	if r != nil {
		r.share.Close()
	}
	return err
}
