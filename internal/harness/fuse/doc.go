// Package fuse is the guest's end of the workspace: it mounts a FUSE file system
// and carries its messages, unread, between /dev/fuse and the fs channel.
//
// The harness calls Open and Mount, starts a process of its own that runs Pump, and then
// calls Attach and ReadAhead; in a rehearsal Pretend takes the host's place. But there the
// package parses nothing but the length in front of each message (struct
// fuse_in_header and fuse_out_header of linux/fuse.h): the file system itself is the
// host's.
package fuse
