package paths

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"aegis/internal/fault"
)

// env is a getenv over pairs.
func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func TestLocate(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name       string
		env        func(string) string
		dir, cache string
	}{
		{"default", env("HOME", "/home/ann"), "/home/ann/.aegis", "/home/ann/.aegis/cache"},
		{"home", env("HOME", "/home/ann", EnvHome, "/x"), "/x", "/x/cache"},
		{"cache", env(EnvHome, "/x", EnvCache, "/y"), "/x", "/y"},
		{"relative", env(EnvHome, "x", EnvCache, "y/"), here + "/x", here + "/y"},
		{"unclean", env(EnvHome, "/x/../z//"), "/z", "/z/cache"},
	} {
		h, err := Locate(c.env)
		if len(here) > 40 && c.name == "relative" && fault.Is(err, fault.PathTooLong) {
			continue // this checkout lies too deep to be tried
		}
		if err != nil || h.Dir != c.dir || h.Cache != c.cache {
			t.Errorf("%s: %+v, %v", c.name, h, err)
		}
	}
	if _, err := Locate(env()); !fault.Is(err, fault.Invalid) {
		t.Errorf("without HOME: %v", err)
	}
}

// deep is a home of exactly n bytes.
func deep(n int) string { return "/" + strings.Repeat("x", n-1) }

// TestLongestSocket compares each path of a socket, of the longest home that is taken as it
// is, with what fits sockaddr_un where Aegis runs: whoever moves a home to another system
// finds it working.
func TestLongestSocket(t *testing.T) {
	room := map[string]int{"linux": 108, "darwin": 104} // of sun_path, the final zero included: unix(7), sys/un.h
	h, err := Locate(env(EnvHome, deep(MaxSocket-len("/run/run-aaaaaaaaaaaa/shim.sock"))))
	if err != nil {
		t.Fatal(err)
	}
	for system, bytes := range room {
		for _, path := range []string{h.Socket(), h.Run("run-aaaaaaaaaaaa").Socket()} {
			if len(path)+1 > bytes {
				t.Errorf("%s has %d bytes and its zero, and %s has room for %d", path, len(path), system, bytes)
			}
		}
	}
}

func TestSocketsFit(t *testing.T) {
	longest := MaxSocket - len("/run/run-aaaaaaaaaaaa/shim.sock")
	h, err := Locate(env(EnvHome, deep(longest)))
	if err != nil {
		t.Fatal(err)
	}
	if where, moved := h.SocketsMoved(); moved || where != h.Dir || len(h.Run("run-aaaaaaaaaaaa").Socket()) != MaxSocket {
		t.Errorf("a home of %d bytes: sockets in %s", longest, where)
	}

	_, err = Locate(env(EnvHome, deep(longest+1)))
	if !fault.Is(err, fault.PathTooLong) || !strings.Contains(err.Error(), fmt.Sprint(longest+1)) {
		t.Errorf("without XDG_RUNTIME_DIR: %v", err)
	}
	for _, runtime := range []string{"relative", deep(longest)} {
		if _, err := Locate(env(EnvHome, deep(longest+1), "XDG_RUNTIME_DIR", runtime)); !fault.Is(err, fault.PathTooLong) {
			t.Errorf("XDG_RUNTIME_DIR %.20s…: %v", runtime, err)
		}
	}

	h, err = Locate(env(EnvHome, deep(longest+1), "XDG_RUNTIME_DIR", "/run/user/1"))
	if err != nil {
		t.Fatal(err)
	}
	where, moved := h.SocketsMoved()
	if !moved || !strings.HasPrefix(where, "/run/user/1/aegis-") {
		t.Errorf("sockets in %q", where)
	}
	for _, socket := range []string{h.Socket(), h.Run("run-aaaaaaaaaaaa").Socket()} {
		if !strings.HasPrefix(socket, where+"/") || len(socket) > MaxSocket {
			t.Errorf("%s", socket)
		}
	}
	for _, file := range []string{h.Config(), h.Lock(), h.Registry(), h.Instance("i").Disk()} {
		if !strings.HasPrefix(file, h.Dir+"/") {
			t.Errorf("%s moved too", file)
		}
	}
	other, err := Locate(env(EnvHome, "/y"+deep(longest+1), "XDG_RUNTIME_DIR", "/run/user/1"))
	if err != nil || other.Socket() == h.Socket() {
		t.Errorf("two homes share %s, %v", h.Socket(), err)
	}
}

func TestPrepare(t *testing.T) {
	root := t.TempDir()
	h, err := Locate(env(EnvHome, filepath.Join(root, "home"), EnvCache, filepath.Join(root, "cache")))
	if fault.Is(err, fault.PathTooLong) {
		t.Skip("pending: the directory for temporary files is too deep for a socket")
	}
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // it is safe to repeat
		if err := h.Prepare(); err != nil {
			t.Fatal(err)
		}
		for _, dir := range []string{h.Dir, h.Runs(), h.Instances(), h.Secrets(), h.Cache, h.Stage()} {
			if info, err := os.Stat(dir); err != nil || info.Mode() != os.ModeDir|0o700 {
				t.Errorf("%s: %v, %v", dir, info, err)
			}
		}
		if err := os.Chmod(h.Dir, 0o755); err != nil { // and mends this
			t.Fatal(err)
		}
	}
}

func TestPrepareMovedSockets(t *testing.T) {
	runtime := filepath.Join(t.TempDir(), "r")
	home := filepath.Join(t.TempDir(), strings.Repeat("x", 90))
	h, err := Locate(env(EnvHome, home, "XDG_RUNTIME_DIR", runtime))
	if fault.Is(err, fault.PathTooLong) {
		t.Skip("pending: the directory for temporary files is too deep for a socket")
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Prepare(); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{filepath.Dir(h.Socket()), h.Runs()} {
		if info, err := os.Stat(dir); err != nil || info.Mode() != os.ModeDir|0o700 || !strings.HasPrefix(dir, runtime) {
			t.Errorf("%s: %v, %v", dir, info, err)
		}
	}
}

func TestPrepareRefuses(t *testing.T) {
	root := t.TempDir()
	file := filepath.Join(root, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (Home{Dir: file, Cache: file, sockets: file}).Prepare(); !fault.Is(err, fault.Invalid) {
		t.Errorf("a file for a home: %v", err)
	}
	if os.Getuid() != 0 {
		t.Skip("pending: giving a directory to another user needs root")
	}
	foreign := filepath.Join(root, "foreign")
	if err := os.Mkdir(foreign, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(foreign, 4711, 4711); err != nil {
		t.Fatal(err)
	}
	err := (Home{Dir: foreign, Cache: foreign, sockets: foreign}).Prepare()
	if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "4711") {
		t.Errorf("another user's home: %v", err)
	}
	if left, _ := os.ReadDir(foreign); len(left) != 0 {
		t.Errorf("%d files were made in another user's home", len(left))
	}
}

// TestNamesDiffer holds that no two things share a place.
func TestNamesDiffer(t *testing.T) {
	h := Home{Dir: "/h", Cache: "/h/cache", sockets: "/h"}
	i, r := h.Instance("a"), h.Run("a")
	all := []string{h.Config(), h.Socket(), h.Lock(), h.DaemonLog(), h.EarlierDaemonLog(), h.Registry(), h.Secrets(), h.SecretKey(), h.Token(),
		h.Workspace("a"), h.TemporaryWorkspace("a"), h.Instances(), h.Runs(), h.Kernels(), h.Images(), h.Blank(), h.Stage(),
		i.Dir, i.Disk(), i.Logs(), r.Dir, r.Socket(), r.Exit(), r.VMM(), r.Scratch(), r.Log(), h.Cache, h.TemporaryWorkspaces(),
		h.Secret("a"), h.Unfinished(), h.Templates(), h.Template("a").Dir, h.Template("a").Unfinished().Dir, h.Template("a").Leaving(), h.Template("a").Manifest(), LogFile(i.Logs(), 1)}
	seen := map[string]bool{}
	for _, p := range all {
		if seen[p] || !filepath.IsAbs(p) {
			t.Errorf("%s is not a place of its own", p)
		}
		seen[p] = true
	}
}

func TestLogNumber(t *testing.T) {
	for _, n := range []int{1, 42, 999999, 1000000, 123456789} {
		if got, ok := LogNumber(filepath.Base(LogFile("/d", n))); !ok || got != n {
			t.Errorf("%d is read as %d, %v", n, got, ok)
		}
	}
	for _, name := range []string{"", "1.ndjson", "000000.ndjson", "-00001.ndjson", "+00001.ndjson", "000001.ndjson.new", "000001", "x00001.ndjson"} {
		if n, ok := LogNumber(name); ok {
			t.Errorf("%q is read as %d", name, n)
		}
	}
}

func TestSecretName(t *testing.T) {
	h := Home{Dir: "/h"}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[A-Za-z_][A-Za-z0-9_]{0,127}`).Draw(t, "name")
		file := filepath.Base(h.Secret(name))
		if got, ok := SecretName(file); !ok || got != name || len(file) > 255 || file != strings.ToLower(file) {
			t.Fatalf("%s is kept in %s and read as %q, %v", name, file, got, ok)
		}
	})
	for _, file := range []string{"", ".age", "API_KEY.age", "mfqq", "mfqq.age.new", filepath.Base(h.Unfinished())} {
		if name, ok := SecretName(file); ok {
			t.Errorf("%q is read as %q", file, name)
		}
	}
}
