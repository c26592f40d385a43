//go:build linux

package workspace

import (
	"encoding/binary"
	"io"
	"log"
	"log/slog"
	"runtime/debug"
	"sync/atomic"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// handler decodes requests with go-fuse and calls the server.
type handler struct {
	protocol *fuse.ProtocolServer
	greeted  atomic.Bool // INIT was seen
	ready    atomic.Bool // INIT was answered
	panics   atomic.Int32
}

// loggedPanics bounds what a guest can make us log.
const loggedPanics = 3

func newHandler(s *server) *handler {
	h := &handler{}
	h.protocol = fuse.NewProtocolServer(s, &fuse.MountOptions{
		MaxWrite:          maxPayload,
		MaxReadAhead:      maxPayload,
		MaxBackground:     64, // more READs and WRITEs under way than the library's 12
		EnableLocks:       true,
		ExtraCapabilities: fuse.CAP_ATOMIC_O_TRUNC | fuse.CAP_HANDLE_KILLPRIV_V2,
		Logger:            log.New(io.Discard, "", 0), // the guest decides what it says
		PanicHandler:      func(v any) fuse.Status { return h.panicked(v) },
	})
	return h
}

// handle answers m in out, and returns the reply, empty if none is due.
func (h *handler) handle(m message, out []byte) (reply []byte) {
	if errno := h.order(m); errno != 0 {
		return refuse(m, errno)
	}
	defer func() {
		if v := recover(); v != nil { // in the library's own parser
			reply = refuse(m, unix.Errno(h.panicked(v)))
		}
	}()
	if m.node() == fuse.FUSE_ROOT_ID {
		// The library answers one name below its root by itself; by another
		// number the root is an ordinary node to it.
		binary.NativeEndian.PutUint64(m[16:], rootAlias)
	}
	n, status := h.protocol.HandleRequest([][]byte{m}, [][]byte{out})
	if status != fuse.OK {
		return refuse(m, unix.Errno(status))
	}
	if m.op() == opInit {
		h.ready.Store(true)
	}
	return out[:n]
}

// order holds that INIT comes first and once: the library keeps what it says
// without a lock.
func (h *handler) order(m message) unix.Errno {
	if m.op() == opInit {
		if binary.NativeEndian.Uint32(m.body()) != 7 { // FUSE_KERNEL_VERSION
			return unix.EPROTO
		}
		if h.greeted.Swap(true) {
			return unix.EIO
		}
		return 0
	}
	if !h.ready.Load() {
		return unix.EIO
	}
	return 0
}

func (h *handler) panicked(v any) fuse.Status {
	if h.panics.Add(1) <= loggedPanics {
		slog.Error("workspace: a handler panicked", "panic", v, "stack", string(debug.Stack()))
	}
	return fuse.EIO
}

func refuse(m message, errno unix.Errno) []byte {
	if !m.answered() {
		return nil
	}
	return refusal(m.unique(), errno)
}
