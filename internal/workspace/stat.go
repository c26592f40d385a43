//go:build linux

package workspace

import (
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// identity tells inodes apart, also when a number is used again for a new file.
// A file system that keeps no time of birth has 0 there.
type identity struct {
	dev  uint64
	ino  uint64
	born int64 // nanoseconds
}

const statMask = unix.STATX_BASIC_STATS | unix.STATX_BTIME | unix.STATX_MNT_ID

func statFD(fd int) (unix.Statx_t, error) { return statAt(fd, "") }

// statAt describes name in the directory dir, or dir itself for "", following
// and mounting nothing.
func statAt(dir int, name string) (unix.Statx_t, error) {
	flags := unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT
	if name == "" {
		flags |= unix.AT_EMPTY_PATH
	}
	var st unix.Statx_t
	err := unix.Statx(dir, name, flags, statMask, &st)
	return st, err
}

func identify(st *unix.Statx_t) identity {
	id := identity{dev: unix.Mkdev(st.Dev_major, st.Dev_minor), ino: st.Ino}
	if st.Mask&unix.STATX_BTIME != 0 {
		id.born = nanos(st.Btime)
	}
	return id
}

func kindOf(st *unix.Statx_t) uint32 { return uint32(st.Mode) & unix.S_IFMT }

func nanos(t unix.StatxTimestamp) int64 { return t.Sec*1e9 + int64(t.Nsec) }

// stamp changes when a file's content does.
type stamp struct {
	size     uint64
	modified int64
}

func stampOf(st *unix.Statx_t) stamp { return stamp{st.Size, nanos(st.Mtime)} }

// forbidden mode bits are neither set on the host nor shown to the guest.
const forbidden = unix.S_ISUID | unix.S_ISGID

// show translates a host's inode for the guest.
func (s *server) show(out *fuse.Attr, st *unix.Statx_t) {
	uid, gid := s.owners.shown(st)
	*out = fuse.Attr{
		Ino:       st.Ino,
		Size:      st.Size,
		Blocks:    st.Blocks,
		Atime:     uint64(st.Atime.Sec),
		Mtime:     uint64(st.Mtime.Sec),
		Ctime:     uint64(st.Ctime.Sec),
		Atimensec: st.Atime.Nsec,
		Mtimensec: st.Mtime.Nsec,
		Ctimensec: st.Ctime.Nsec,
		Mode:      uint32(st.Mode) &^ forbidden,
		Nlink:     st.Nlink,
		Owner:     fuse.Owner{Uid: uid, Gid: gid},
		Rdev:      uint32(unix.Mkdev(st.Rdev_major, st.Rdev_minor)),
		Blksize:   st.Blksize,
	}
}

func (s *server) showEntry(out *fuse.EntryOut, id uint64, st *unix.Statx_t) {
	out.NodeId = id
	out.SetEntryTimeout(cacheFor)
	out.SetAttrTimeout(cacheFor)
	s.show(&out.Attr, st)
}
