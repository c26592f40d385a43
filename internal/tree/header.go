package tree

import (
	"archive/tar"
	"io/fs"
	"syscall"
	"time"
)

// Bits of a mode beyond its permissions (POSIX, sys/stat.h), which tar shares.
const (
	setuid = 0o4000
	setgid = 0o2000
	sticky = 0o1000
)

// header describes a file. Its format keeps long names, large numbers and nanoseconds.
func header(info fs.FileInfo, as string) (*tar.Header, inode) {
	h := &tar.Header{Name: as, Mode: int64(info.Mode().Perm()), ModTime: info.ModTime(), Format: tar.FormatPAX}
	for bit, mode := range map[int64]fs.FileMode{setuid: fs.ModeSetuid, setgid: fs.ModeSetgid, sticky: fs.ModeSticky} {
		if info.Mode()&mode != 0 {
			h.Mode |= bit
		}
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return h, inode{}
	}
	h.Uid, h.Gid = int(st.Uid), int(st.Gid)
	return h, inode{uint64(st.Dev), uint64(st.Ino)}
}

// several reports whether a file has more than one name.
func several(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Nlink > 1
}

// modeOf is the mode that an entry asks for. The bits that make a program run as
// somebody else are kept only where asked.
func modeOf(h *tar.Header, special bool) fs.FileMode {
	mode := fs.FileMode(h.Mode).Perm()
	if !special {
		return mode
	}
	for bit, m := range map[int64]fs.FileMode{setuid: fs.ModeSetuid, setgid: fs.ModeSetgid, sticky: fs.ModeSticky} {
		if h.Mode&bit != 0 {
			mode |= m
		}
	}
	return mode
}

// timeOf is an entry's time, or the zero one, which changes nothing, when no file
// can have it: nanoseconds since 1970 are counted in 64 bits.
func timeOf(h *tar.Header) time.Time {
	if y := h.ModTime.Year(); y < 1700 || y > 2200 {
		return time.Time{}
	}
	return h.ModTime
}
