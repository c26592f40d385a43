// Package cgroup limits what the processes of one run can take from the host: memory,
// processes and threads, and their share of the processors.
//
// Who calls it: the daemon, which asks at its start what the machine lets it do (Find),
// makes a group for each run (Tree.Make), has the shim begin in it (Group.Enter), and
// removes it when the run has ended (Tree.Remove). Monitor and helpers are the shim's
// children and so in its group. It uses the second version of the kernel's control
// groups, by plain files (cgroup-v2.rst of Linux's documentation), only where they are
// ours to write: as root, or where systemd has delegated a part. It never mounts,
// never touches a group that is not below the home's own, and moves no process but the
// daemon and the command that started it.
package cgroup

import "aegis/internal/instance"

// The controllers that limit a run, as the kernel names them.
const (
	memory = "memory"
	pids   = "pids"
	cpu    = "cpu"
)

// Controllers are all that are wanted, in the order in which they are told.
var Controllers = []string{memory, pids, cpu}

// What a run needs beside its guest.
const (
	// besides is for what is not the guest's memory, in bytes: QEMU and its translated
	// code (128 MiB, its tb-size), the network's helper (128 MiB, netstack.MemoryLimit),
	// the workspace's and the shim, with as much again in reserve. Files that they read
	// count too, but the kernel takes those back.
	besides = 768 << 20
	// tables is which part of the guest's memory its page tables take at most: 8 bytes
	// for each page of 4096, in the monitor and again for a hypervisor, with room.
	tables = 64

	// threads is for the helpers and the shim: the workspace's may have 1024 (package
	// confine, RLIMIT_NPROC), and the runtime of the others stays below 256 each.
	threads = 2048
	// perCPU is for QEMU's workers: 64 in a pool of each thread that waits for events.
	perCPU = 64

	usual     = 100   // weight of a group that was told none
	mostShare = 10000 // the largest that the kernel takes
)

// For is what a run with a guest of that shape is limited to. memory is in bytes.
func For(cpus int, memory int64) instance.Limits {
	return instance.Limits{Memory: memory + memory/tables + besides, PIDs: int64(threads + perCPU*cpus), CPUWeight: int64(min(usual*cpus, mostShare))}
}
