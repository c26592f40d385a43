package kernel

import (
	"bytes"
	"fmt"
)

// archive writes a cpio archive of format "newc" (kernel:
// Documentation/driver-api/early-userspace/buffer-format.rst): a header of 6
// magic characters and 13 numbers of 8 hexadecimal digits, the name with its NUL,
// then the content, each padded to 4 bytes.
type archive struct {
	buf bytes.Buffer
	ino int
}

// Modes of the entries (stat(2)).
const (
	modeDir  = 0o040755
	modeExec = 0o100755
	modeFile = 0o100644
)

func (a *archive) add(name string, mode int, data []byte) {
	a.ino++
	nlink := 1
	if mode == modeDir {
		nlink = 2
	}
	// magic ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
	fmt.Fprintf(&a.buf, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		a.ino, mode, 0, 0, nlink, 0, len(data), 0, 0, 0, 0, len(name)+1, 0, name)
	a.pad()
	a.buf.Write(data)
	a.pad()
}

// trailer ends an archive.
const trailer = "TRAILER!!!"

// archiveEnd is how every archive ends: the trailer's name, its NUL and its padding.
const archiveEnd = trailer + "\x00\x00\x00\x00"

// bytes ends the archive.
func (a *archive) bytes() []byte {
	a.ino = -1 // inode 0 in the trailer, as others write it
	a.add(trailer, 0, nil)
	return a.buf.Bytes()
}

func (a *archive) pad() {
	for a.buf.Len()%4 != 0 {
		a.buf.WriteByte(0)
	}
}
