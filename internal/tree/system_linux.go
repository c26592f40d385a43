package tree

import (
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// kernels are file systems that hold the kernel's own data (linux/magic.h).
var kernels = map[int64]bool{
	unix.PROC_SUPER_MAGIC: true, unix.SYSFS_MAGIC: true, unix.DEVPTS_SUPER_MAGIC: true, unix.CGROUP_SUPER_MAGIC: true,
	unix.CGROUP2_SUPER_MAGIC: true, unix.DEBUGFS_MAGIC: true, unix.TRACEFS_MAGIC: true, unix.SECURITYFS_MAGIC: true,
	unix.BPF_FS_MAGIC: true, unix.PSTOREFS_MAGIC: true, unix.EFIVARFS_MAGIC: true,
}

// pseudo reports whether a directory is not of a file system with files in it.
func pseudo(f *os.File) bool {
	var st unix.Statfs_t
	return unix.Fstatfs(int(f.Fd()), &st) == nil && kernels[int64(st.Type)]
}

// setLinkTime sets the time of a symbolic link itself. A file system that can't do
// that is no reason to fail.
func setLinkTime(dir *os.Root, name string, at time.Time) {
	if at.IsZero() {
		return
	}
	f, err := dir.Open(".")
	if err != nil {
		return
	}
	defer f.Close()
	ts := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, unix.NsecToTimespec(at.UnixNano())}
	unix.UtimesNanoAt(int(f.Fd()), name, ts, unix.AT_SYMLINK_NOFOLLOW)
}

// skipHole is where a file next has data at or behind a place; without any, its end
// (lseek(2)). A file system without holes has data everywhere.
func skipHole(f *os.File, at int64) int64 {
	data, err := f.Seek(at, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) {
		data, err = f.Seek(0, io.SeekEnd)
	}
	if err != nil {
		return at
	}
	return max(at, data)
}
