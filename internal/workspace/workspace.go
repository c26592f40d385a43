// Package workspace serves a directory of the host to a guest as a FUSE file
// system, over a byte stream. Every byte of that stream was written by a hostile
// guest.
//
// Serve is called by the fs helper, a process of its own that is confined to the
// directory besides. FUSE messages announce their length themselves (struct
// fuse_in_header, linux/fuse.h), so nothing frames them. The wire structures are
// parsed by go-fuse; what they do to the directory is decided here.
//
// # What keeps the guest inside
//
//   - A node is an inode, known by device, inode number and time of birth. It is
//     reached through an O_PATH|O_NOFOLLOW descriptor or, when that was closed to
//     save descriptors, through its parent's and one name, and then compared.
//   - A name from the guest is one component: never empty, ".", "..", or with "/".
//     Symbolic links are made and read as text and never followed.
//   - Content is opened from a node's descriptor, by its number in /proc/self/fd,
//     for regular files and directories only. Nothing else is ever opened.
//   - Mount points inside the directory are not crossed: EXDEV. What is mounted
//     there (a proc, say) was not given to the guest.
//   - A directory that the host moves out of the workspace is refused within
//     recheck.
//   - Device nodes are never made; set-uid and set-gid bits are never set or shown.
//
// # Owners
//
// Files of the serving user show as the instance's main user's, whom the guest names in
// its first message (wire.Owner), or else as root's; all others as 65534.
// chown, and the owner of what another guest user creates, is remembered in
// memory until Serve returns, and never done on the host.
//
// # Locks
//
// flock and fcntl locks are taken on the host, so that both sides exclude each
// other. Deadlocks of fcntl locks are not detected.
package workspace

import "os"

// Options say how the directory is shown.
type Options struct {
	// ReadOnly refuses with EROFS whatever would change the directory.
	ReadOnly bool
	// MaxNodes caps the inodes that the guest may keep known; 0 is 1<<20. At the
	// cap lookups fail with ENOMEM. A node takes about 300 bytes and its name.
	MaxNodes int
	// MaxHandles caps open files and lock owners together; 0 is a third of
	// RLIMIT_NOFILE, at most 8192. At the cap opening fails with ENFILE.
	MaxHandles int
	// Proc is this process's own /proc/self/fd, opened with O_PATH before it
	// entered a root that has no /proc. Serve opens it itself when nil, and
	// never closes this one.
	Proc *os.File `json:"-"`
}

// nobody owns what belongs to neither the serving user nor the guest; the
// kernel's overflow ID (/proc/sys/kernel/overflowuid).
const nobody = 65534
