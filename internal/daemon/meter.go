package daemon

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Bounds of one measurement: workspaces hold what guests have made.
const (
	meterEntries = 1 << 20
	meterDepth   = 256 // one descriptor each
	meterBatch   = 256 // names read at once
)

// meter adds up the blocks that files take: a file with several names once, nothing
// behind a symbolic link, and nothing of another file system.
type meter struct {
	ctx  context.Context
	left int // entries it may still look at
	seen map[inode]bool
	cut  bool // there was more
}

type inode struct{ dev, ino uint64 }

func newMeter(ctx context.Context) *meter {
	return &meter{ctx: ctx, left: meterEntries, seen: map[inode]bool{}}
}

// sizes is what these files and trees take together, in bytes. What is missing
// takes nothing.
func (m *meter) sizes(paths ...string) (total int64) {
	for _, path := range paths {
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			m.cut = m.cut || !errors.Is(err, unix.ENOENT)
			continue
		}
		total += m.entry(unix.AT_FDCWD, path, st, uint64(st.Dev), 0)
	}
	return total
}

// entry is what a name in a directory takes, with all below it.
func (m *meter) entry(parent int, name string, st unix.Stat_t, dev uint64, depth int) int64 {
	if m.left--; m.left < 0 || m.ctx.Err() != nil {
		m.cut = true
		return 0
	}
	if uint64(st.Dev) != dev {
		return 0
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		key := inode{dev, st.Ino}
		if m.seen[key] {
			return 0
		}
		m.seen[key] = st.Nlink > 1
		return st.Blocks * 512 // stat(2): the unit is 512 bytes whatever the file system's is
	}
	return st.Blocks*512 + m.dir(parent, name, dev, depth+1)
}

// dir is what a directory's entries take. Each is reached by its parent's
// descriptor: a guest that swaps names meanwhile leads nowhere else.
func (m *meter) dir(parent int, name string, dev uint64, depth int) (total int64) {
	if depth > meterDepth {
		m.cut = true
		return 0
	}
	fd, err := unix.Openat(parent, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		m.cut = m.cut || !errors.Is(err, unix.ENOENT)
		return 0
	}
	d := os.NewFile(uintptr(fd), filepath.Base(name))
	defer d.Close()
	for {
		names, err := d.Readdirnames(meterBatch)
		for _, name := range names {
			var st unix.Stat_t
			if unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil { // else it has gone
				total += m.entry(fd, name, st, dev, depth)
			}
		}
		if err != nil || m.left < 0 || m.ctx.Err() != nil {
			m.cut = m.cut || !errors.Is(err, io.EOF)
			return total
		}
	}
}
