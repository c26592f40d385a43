package daemon

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"aegis/internal/config"
	"aegis/internal/engine"
	"aegis/internal/paths"
	"aegis/internal/template"
)

// filled is a home with something of everything, and what a prune of it removes.
func filled(t *testing.T, cache string) (home paths.Home, needs engine.Needs, unused []string) {
	t.Helper()
	dir := t.TempDir()
	env := map[string]string{paths.EnvHome: filepath.Join(dir, "home"), paths.EnvCache: cache, "XDG_RUNTIME_DIR": dir}
	home, err := paths.Locate(func(name string) string { return env[name] })
	if err != nil {
		t.Skip("pending: the directory of temporary files is too deep for sockets")
	}
	write := func(path string) string {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, make([]byte, 8192), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, path := range []string{home.Instance("inst-a").Disk(), home.Instance("inst-a").Logs() + "/000001.ndjson", home.DaemonLog(), home.Registry(),
		home.Workspace("old") + "/work", home.TemporaryWorkspace("inst-a") + "/work", home.Run("run-a").Socket(), home.SecretKey(),
		home.Stage() + "/image-new/root", home.Blank() + "/ext4-1-8589934592.img"} {
		write(path)
	}
	stage := filepath.Dir(write(home.Stage() + "/image-old/root"))
	day := time.Now().Add(-25 * time.Hour)
	if err := os.Chtimes(stage, day, day); err != nil {
		t.Fatal(err)
	}
	needs.Left = []string{filepath.Dir(write(home.Instance("inst-b").Disk())), filepath.Dir(write(home.TemporaryWorkspace("inst-b") + "/work")),
		filepath.Dir(write(home.Run("run-b").Log()))}
	needs.Idle = []string{filepath.Dir(write(home.Template("idle").Manifest()))}
	write(home.Template("used").Manifest())
	write(home.Instance("inst-b").Logs() + "/000001.ndjson")
	return home, needs, append([]string{write(home.Blank() + "/ext4-1-67108864.img"), stage, needs.Idle[0]}, needs.Left...)
}

// TestPruneRemovesWhatNothingNeeds measures a home before and after.
func TestPruneRemovesWhatNothingNeeds(t *testing.T) {
	home, needs, unused := filled(t, "")
	before := measure(t.Context(), home, holdings(home, config.Default(), needs, false))
	gone, err := remove(t.Context(), holdings(home, config.Default(), needs, false))
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, r := range gone.Removed {
		paths = append(paths, r.Path)
		if _, err := os.Lstat(r.Path); err == nil || r.Size < 8192 {
			t.Errorf("%+v, %v", r, err)
		}
	}
	slices.Sort(paths)
	if slices.Sort(unused); !slices.Equal(paths, unused) {
		t.Errorf("gone are %q\nwant %q", paths, unused)
	}
	needs.Left, needs.Idle = nil, nil
	after := measure(t.Context(), home, holdings(home, config.Default(), needs, false))
	if before.Reclaimable != gone.Freed || before.Size-after.Size != gone.Freed || after.Reclaimable != 0 || before.CacheShared {
		t.Errorf("before %+v\nfreed %d\nafter %+v", before, gone.Freed, after)
	}
	for _, row := range after.Rows {
		if empty := row.Name == "images" || row.Name == "layers of images" || row.Name == "kernels"; row.Partial || empty != (row.Size == 0) {
			t.Errorf("%+v", row)
		}
	}
}

// TestSharedCacheIsLeftAlone holds that another home's files stay, unless all is said.
func TestSharedCacheIsLeftAlone(t *testing.T) {
	home, needs, unused := filled(t, t.TempDir())
	for _, all := range []bool{false, true} {
		var got []string
		for _, h := range holdings(home, config.Default(), needs, all) {
			got = append(got, h.unused...)
		}
		want := unused
		if !all {
			want = append(needs.Left, needs.Idle...)
		}
		if slices.Sort(got); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
			t.Errorf("all %v: %q\nwant %q", all, got, want)
		}
	}
}

// TestPruneTemplates holds that the engine has the last word about a template: a VM may
// have come to use it.
func TestPruneTemplates(t *testing.T) {
	home, _, _ := filled(t, "")
	cache, err := template.Open(home, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{home: home, engine: engine.New(engine.Parts{Home: home, Templates: cache})}
	defer d.engine.Close()
	cache.Hold("used")
	held := []holding{{name: templates, unused: []string{home.Template("idle").Dir, home.Template("used").Dir}, remove: d.engine.DiscardTemplate}}
	if gone, err := remove(t.Context(), held); err == nil || len(gone.Removed) != 1 {
		t.Errorf("gone: %+v, %v", gone, err)
	}
	if cache.Has("idle") || !cache.Has("used") {
		t.Error("the wrong one is gone")
	}
}
