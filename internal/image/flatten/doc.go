// Package flatten makes one file system of an image that comes from elsewhere: it reads
// archives and layers, applies the layers over each other and their whiteouts, and
// writes a read-only ext4.
//
// Who calls it: a process of its own that has nothing but the open files of a Job
// (aegisd flatten), since every byte that is read here is foreign. It opens nothing,
// unpacks nothing onto the host, and knows no reference, registry or name on disk.
//
// The tree of an image is built in memory, without contents, and is checked while it
// grows; so a path can lead nowhere but to another place of that tree. What an image
// must not hold is refused with a fault.ImageUnusable that names the entry.
package flatten

// Limits of what is taken from an image. They stop what would fill a disk, the memory
// or the hours, and are far above what images have.
const (
	// MaxRoot is the largest file system that is made, in bytes: eight times what large
	// images hold. It is tar2ext4's own default.
	MaxRoot = 16 << 30
	// MaxEntries is how many entries all layers of an image may have together. A Debian
	// with a desktop has 400,000; a million takes 1.9 GiB of memory here (measured).
	MaxEntries = 1 << 20
	// MaxWords is how many bytes names, link targets and attributes may have together,
	// since they stay in memory.
	MaxWords = 256 << 20
	// MaxLayers is how many layers an image may have: docker's overlay2 has 128.
	MaxLayers = 128
	// MaxStream is how many bytes a layer may have when it is unpacked: a whole root,
	// and for each entry the blocks of its headers.
	MaxStream = MaxRoot + MaxEntries*headerSize
	// MaxArchive is how many bytes an archive may have, packed or unpacked: all its
	// layers, of which later ones may hide earlier ones.
	MaxArchive = 2 * MaxRoot
	// MaxMemory is what the process may have of it, in bytes (RLIMIT_DATA): the tree, its
	// copy in tar2ext4, and the window of a decompressor.
	MaxMemory = 4 << 30
	// MaxDocument is the size of a manifest, an index or a config, in bytes: what
	// registries themselves take.
	MaxDocument = 4 << 20

	// headerSize is what an entry has in a tar stream beside its content, at most by
	// far: its header, a PAX header and their padding.
	headerSize = 4 << 10
	// maxPath and maxName are Linux's own (linux/limits.h), in bytes.
	maxPath = 4095
	maxName = 255
	// maxDepth is how deep directories may lie; no tree that can be used is as deep.
	maxDepth = 256
	// maxFollow is how many symbolic links a path may lead through, as Linux's (path_resolution(7)).
	maxFollow = 40
	// maxWindow bounds what a decompressor keeps, in bytes: the largest that zstd(1)
	// writes without being asked for more.
	maxWindow = 128 << 20
)
