package engine

import (
	"os"
	"sync"

	"aegis/client"
	"aegis/internal/fault"
	"aegis/internal/instance"
	"aegis/internal/store"
)

// workspace resolves what was asked for: an absolute path, a name, or, for an
// ephemeral run, a new temporary directory. settle is called once: without keep, the
// directory that was made goes again.
func (e *Engine) workspace(rec store.Record, given *client.Workspace) (w *instance.Workspace, settle func(keep bool), err error) {
	const what = "use the workspace"
	settle = func(bool) {}
	if given == nil {
		if !rec.Spec.Ephemeral {
			return nil, settle, nil
		}
		dir := e.Home.TemporaryWorkspace(rec.ID)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, nil, fault.New(fault.Workspace, dir, what, "%w", err)
		}
		settle = func(keep bool) {
			if !keep {
				os.Remove(dir)
			}
		}
		return &instance.Workspace{Path: dir, Temporary: true}, settle, nil
	}
	w = &instance.Workspace{Path: given.Path, ReadOnly: given.ReadOnly}
	if w.Path == "" || w.Path[0] != '/' {
		if err := instance.CheckName(w.Path); err != nil {
			return nil, nil, fault.New(fault.Invalid, w.Path, what, "%.80q is neither an absolute path nor the name of a workspace", w.Path)
		}
		w.Path = e.Home.Workspace(w.Path)
		if err := os.MkdirAll(e.Home.Workspaces(), 0o700); err != nil {
			return nil, nil, fault.New(fault.Workspace, w.Path, what, "%w", err)
		}
		if settle, err = e.workspaces.take(w.Path); err != nil {
			return nil, nil, fault.New(fault.Workspace, w.Path, what, "%w", err)
		}
	}
	return w, settle, nil
}

// workspaces are the named workspaces of the creations that go on: a directory that
// was made for one goes when it fails, unless another has counted on it meanwhile.
type workspaces struct {
	mu   sync.Mutex
	held map[string]*heldWorkspace
}

// heldWorkspace is one directory.
type heldWorkspace struct {
	holders int
	made    bool // by one of its holders
	kept    bool // one of them has succeeded
}

// take makes the directory, if it is missing, and holds it until settle.
func (w *workspaces) take(dir string) (settle func(keep bool), err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	err = os.Mkdir(dir, 0o700)
	if err != nil && !os.IsExist(err) {
		return nil, err
	}
	h := w.held[dir]
	if h == nil {
		h = &heldWorkspace{}
		if w.held == nil {
			w.held = map[string]*heldWorkspace{}
		}
		w.held[dir] = h
	}
	h.holders++
	h.made = h.made || err == nil
	return func(keep bool) { w.settle(dir, h, keep) }, nil
}

func (w *workspaces) settle(dir string, h *heldWorkspace, keep bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	h.holders--
	h.kept = h.kept || keep
	if h.holders > 0 {
		return
	}
	delete(w.held, dir)
	if h.made && !h.kept {
		os.Remove(dir) // fails where somebody has put a file into it
	}
}
