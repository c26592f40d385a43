// Package firecracker is the backend for Linux hosts whose KVM was measured usable and
// that have Firecracker, 1.16.1 or later, on their path.
//
// It owns the monitor's process: what it is told over its API socket, its life and
// death. The shim boots VMs with it, the daemon only probes. It never reads what comes
// over a channel but the one line that opens it, never opens a file of a guest (the
// caller passes open ones), and listens on no socket.
//
// Firecracker has no serial numbers for disks, no named ports and no network device
// without an interface of the host's. So the guest is told more on its command line
// (guestArgs): that its ports are those of a vsock device, and which disk is which. It
// listens on the ports, and the host dials, by one socket in the VM's directory. Frames
// go over a port too (vmm.Caps.NIC is false).
//
// A pause stops the process. The API has a pause of its own, after which the vsock device
// loses packets until a snapshot is restored; it is used for snapshots only.
//
// A template is three files: the memory, the state, and a manifest. Files are named by
// descriptors in both, so a clone has its own behind the same names.
//
// What comes over the API socket is read as a guest's words: the monitor may have been
// taken over. Facts about the API are of its published description (the OpenAPI document
// of version 1.16.1).
package firecracker
