// Package krun is the backend for hosts that have libkrun 1.19.4 or later of its 1.x
// series, and libkrunfw.
//
// It owns the process of a VM, aegis-krun: what it is told, its life and death. libkrun is
// a library that becomes its process, so the shim starts one for each VM as it would
// start a monitor. The daemon only probes. This package loads no library: only package
// worker does, in that process.
//
// The kernel is libkrunfw's, with its drivers built in (vmm.Caps.OwnKernel). It begins in
// a file system in memory that holds the harness; no directory of the host's is shared.
// Ports are those of a virtio console, and frames a stream, all by descriptors that the
// process is born with: it opens no socket, and has no vsock device, by which libkrun
// would give the guest the host's network.
//
// There are no snapshots, and no disk can be replaced.
package krun
