//go:build linux

package workspace

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// maxOwners caps the remembered owners; beyond it an arbitrary one is forgotten.
const maxOwners = 1 << 16

// owner is a pair of guest IDs.
type owner struct{ uid, gid uint32 }

// ownerTable knows whom files belong to in the guest.
type ownerTable struct {
	host owner // the serving user
	main owner // the same, in the guest; set before the first request is answered

	mu    sync.Mutex
	given map[identity]owner // by chown, or by having created it
}

func newOwnerTable() *ownerTable {
	return &ownerTable{
		host:  owner{uint32(os.Geteuid()), uint32(os.Getegid())},
		given: map[identity]owner{},
	}
}

// shown is the owner that the guest sees.
func (t *ownerTable) shown(st *unix.Statx_t) (uid, gid uint32) {
	t.mu.Lock()
	o, ok := t.given[identify(st)]
	t.mu.Unlock()
	if ok {
		return o.uid, o.gid
	}
	uid, gid = nobody, nobody
	if st.Uid == t.host.uid {
		uid = t.main.uid
	}
	if st.Gid == t.host.gid {
		gid = t.main.gid
	}
	return uid, gid
}

// give remembers an owner.
func (t *ownerTable) give(st *unix.Statx_t, o owner) {
	t.mu.Lock()
	defer t.mu.Unlock()
	id := identify(st)
	if _, had := t.given[id]; !had && len(t.given) >= maxOwners {
		for other := range t.given {
			delete(t.given, other)
			break
		}
	}
	t.given[id] = o
}

// created remembers who made a file, unless that is who it shows anyway.
func (t *ownerTable) created(st *unix.Statx_t, by owner) {
	if by != t.main {
		t.give(st, by)
	}
}

// removed forgets an inode that is gone, whose number may come again.
func (t *ownerTable) removed(st *unix.Statx_t) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.given, identify(st))
}
