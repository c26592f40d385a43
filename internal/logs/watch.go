package logs

import (
	"context"
	"time"

	"github.com/fsnotify/fsnotify"
)

// How often a follower looks without being told: seldom where the system reports
// changes (a report may be lost: inotify(7), queue overflow), else often.
const (
	pollWatched   = time.Second
	pollUnwatched = 100 * time.Millisecond
)

// watch waits for changes of a directory. A nil watch may be closed.
type watch struct {
	fs    *fsnotify.Watcher // nil where the system has no watch left for us
	timer *time.Ticker
}

func newWatch(dir string) *watch {
	fs, err := fsnotify.NewWatcher()
	if err == nil && fs.Add(dir) != nil {
		fs.Close()
		fs = nil
	}
	if err != nil || fs == nil {
		return &watch{timer: time.NewTicker(pollUnwatched)}
	}
	return &watch{fs: fs, timer: time.NewTicker(pollWatched)}
}

// wait returns after a change, or without one after a while, or when ctx is done.
func (w *watch) wait(ctx context.Context) {
	var changes <-chan fsnotify.Event
	var errs <-chan error
	if w.fs != nil {
		changes, errs = w.fs.Events, w.fs.Errors
	}
	select {
	case <-ctx.Done():
	case <-changes:
	case <-errs:
	case <-w.timer.C:
	}
}

func (w *watch) close() {
	if w == nil {
		return
	}
	w.timer.Stop()
	if w.fs != nil {
		w.fs.Close()
	}
}
