package tree

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"aegis/internal/fault"
)

// stream makes a tar stream of entries; a file's text is its Linkname.
func stream(t testing.TB, entries ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range entries {
		text := ""
		if h.Typeflag == tar.TypeReg {
			text, h.Linkname = h.Linkname, ""
			h.Size = int64(len(text))
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func dirEntry(name string) tar.Header {
	return tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755}
}
func fileEntry(name string) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Linkname: "evil"}
}
func softEntry(name, to string) tar.Header {
	return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to}
}
func hardEntry(name, to string) tar.Header {
	return tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: to}
}

// scene is a target with something beside it that must stay as it is.
func scene(t *testing.T) (target string, intact func()) {
	t.Helper()
	base := t.TempDir()
	target = filepath.Join(base, "target")
	check(t, os.Mkdir(target, 0o755), os.WriteFile(filepath.Join(base, "beside"), []byte("good"), 0o600),
		os.Mkdir(filepath.Join(base, "other"), 0o755), os.Symlink("../other", filepath.Join(target, "planted")),
		os.WriteFile(filepath.Join(target, "mine"), []byte("good"), 0o600), os.Mkdir(filepath.Join(target, "dir"), 0o755),
		syscall.Mkfifo(filepath.Join(target, "pipe"), 0o600))
	before := describe(t, filepath.Join(base, "other"))
	return target, func() {
		t.Helper()
		names, _ := filepath.Glob(base + "/*")
		text, _ := os.ReadFile(filepath.Join(base, "beside"))
		if len(names) != 3 || string(text) != "good" || describe(t, filepath.Join(base, "other")) != before {
			t.Errorf("beside the target are now %q, with %q", names, text)
		}
		if left, _ := filepath.Glob(target + "/.aegis-*"); len(left) > 0 {
			t.Errorf("%q is left", left)
		}
	}
}

// TestHostileStreams lists what no stream of a guest may do.
func TestHostileStreams(t *testing.T) {
	deep := strings.Repeat("d/", maxDepth+2)
	for name, c := range map[string]struct {
		why     string
		entries []tar.Header
	}{
		"absolute":               {"absolute", []tar.Header{fileEntry("/etc/evil")}},
		"up":                     {`".."`, []tar.Header{fileEntry("../beside")}},
		"up inside":              {`".."`, []tar.Header{fileEntry("t/../../beside")}},
		"other top":              {"not below", []tar.Header{fileEntry("u/x")}},
		"top's namesake":         {"not below", []tar.Header{fileEntry("tt")}},
		"long name":              {"at most", []tar.Header{fileEntry("t/" + strings.Repeat("x/", maxPath) + "x")}},
		"long component":         {"name too long", []tar.Header{fileEntry("t/" + strings.Repeat("x", 300))}},
		"deep":                   {"deep", []tar.Header{dirEntry("t/" + deep + "x")}},
		"device":                 {"no file", []tar.Header{{Typeflag: tar.TypeChar, Name: "t/null", Devmajor: 1, Devminor: 3}}},
		"block device":           {"no file", []tar.Header{{Typeflag: tar.TypeBlock, Name: "t/disk"}}},
		"pipe":                   {"no file", []tar.Header{{Typeflag: tar.TypeFifo, Name: "t/pipe"}}},
		"absolute link":          {"lead out", []tar.Header{softEntry("t/l", "/etc/passwd")}},
		"link up":                {"lead out", []tar.Header{dirEntry("t/d"), softEntry("t/d/l", "../../beside")}},
		"link by a link":         {"lead out", []tar.Header{softEntry("t/d", "."), softEntry("t/l", "d/../beside")}},
		"link at the top":        {"lead out", []tar.Header{softEntry("t", "../beside")}},
		"nowhere":                {"nowhere", []tar.Header{softEntry("t/l", "")}},
		"through a link":         {"symbolic link", []tar.Header{softEntry("t/l", "sub"), fileEntry("t/l/x")}},
		"directory for a link":   {"symbolic link", []tar.Header{softEntry("t/l", "sub"), dirEntry("t/l")}},
		"through the planted":    {"symbolic link", []tar.Header{fileEntry("t/planted/x")}},
		"below a file":           {"a file", []tar.Header{fileEntry("t/f"), fileEntry("t/f/x")}},
		"directory for a file":   {"a file", []tar.Header{dirEntry("t/mine")}},
		"file for a directory":   {"a directory", []tar.Header{fileEntry("t/dir")}},
		"link for a directory":   {"a directory", []tar.Header{softEntry("t/dir", "x")}},
		"file for a pipe":        {"a pipe", []tar.Header{fileEntry("t/pipe")}},
		"file for the target":    {"a directory", []tar.Header{fileEntry("t")}},
		"hard link out":          {`".."`, []tar.Header{hardEntry("t/h", "../beside")}},
		"absolute hard link":     {"absolute", []tar.Header{hardEntry("t/h", "/etc/passwd")}},
		"hard link beside":       {"not below", []tar.Header{hardEntry("t/h", "beside")}},
		"hard link elsewhere":    {"escapes", []tar.Header{hardEntry("t/h", "t/planted/x")}},
		"hard link by a link":    {`".."`, []tar.Header{hardEntry("t/h", "t/planted/../beside")}},
		"hard link to a link":    {"symbolic link", []tar.Header{softEntry("t/l", "x"), hardEntry("t/h", "t/l")}},
		"hard link to nothing":   {"no such file", []tar.Header{hardEntry("t/h", "t/x")}},
		"hard link to directory": {"a directory", []tar.Header{hardEntry("t/h", "t/dir")}},
		"sparse map":             {"sparse", []tar.Header{{Typeflag: tar.TypeGNUSparse, Name: "t/s", Format: tar.FormatGNU}}},
		"unknown type":           {"no file", []tar.Header{{Typeflag: 'Z', Name: "t/z"}}},
	} {
		t.Run(name, func(t *testing.T) {
			target, intact := scene(t)
			as := "."
			if c.entries[0].Name == "t" && c.entries[0].Typeflag == tar.TypeSymlink {
				as = "new"
			}
			err := Unpack(bytes.NewReader(stream(t, c.entries...)), into(t, target, as), Options{Top: "t", Foreign: true})
			if !fault.Is(err, fault.File) || !strings.Contains(err.Error(), c.why) {
				t.Errorf("%v, want %q", err, c.why)
			}
			intact()
		})
	}
}

// TestLinksInside are those that a foreign stream may have.
func TestLinksInside(t *testing.T) {
	target, intact := scene(t)
	check(t, Unpack(bytes.NewReader(stream(t, dirEntry("t"), dirEntry("t/d"), dirEntry("t/d/e"), fileEntry("t/f"),
		softEntry("t/l", "d/e"), softEntry("t/d/e/up", "../../f"), softEntry("t/d/e/here", "./x"), softEntry("t/d/root", ".."),
		hardEntry("t/d/h", "t/f"), hardEntry("t/d/h", "t/f"))), into(t, target, "new"), Options{Top: "t", Foreign: true}))
	intact()
	out := stream(t, softEntry("t/l", "/etc/passwd"))
	check(t, Unpack(bytes.NewReader(out), into(t, target, "new"), Options{Top: "t", Foreign: true, Outside: true}))
	if to, err := os.Readlink(filepath.Join(target, "new/l")); to != "/etc/passwd" {
		t.Errorf("%q %v", to, err)
	}
}

// TestReplacing never writes through what is there.
func TestReplacing(t *testing.T) {
	target, intact := scene(t)
	check(t, os.Symlink("../beside", filepath.Join(target, "link")), os.Link(filepath.Join(target, "mine"), filepath.Join(target, "other-name")))
	check(t, Unpack(bytes.NewReader(stream(t, fileEntry("t/link"), fileEntry("t/mine"), softEntry("t/new", "mine"), fileEntry("t/new"))),
		into(t, target, "."), Options{Top: "t", Foreign: true}))
	intact()
	for name, want := range map[string]string{"link": "evil", "mine": "evil", "other-name": "good", "new": "evil"} {
		if got, err := os.ReadFile(filepath.Join(target, name)); string(got) != want || err != nil {
			t.Errorf("%s: %q %v, want %q", name, got, err, want)
		}
	}
}

// TestCutStreams are errors wherever they are cut, and leave no half of a file.
func TestCutStreams(t *testing.T) {
	whole := stream(t, dirEntry("t"), tar.Header{Typeflag: tar.TypeReg, Name: "t/f", Linkname: strings.Repeat("x", 1000)}, fileEntry("t/g"))
	for n := 0; n <= len(whole)-512; n += 256 {
		dir := t.TempDir()
		err := Unpack(bytes.NewReader(whole[:n]), into(t, dir, "."), Options{Top: "t"})
		if !fault.Is(err, fault.File) || !strings.Contains(err.Error(), "cut") {
			t.Errorf("cut at %d of %d: %v", n, len(whole), err)
		}
		if text, err := os.ReadFile(filepath.Join(dir, "f")); err == nil && len(text) != 1000 {
			t.Errorf("cut at %d: %d bytes of the file", n, len(text))
		}
	}
	for text, want := range map[string]string{strings.Repeat("no tar ", 200): "damaged", string(make([]byte, 1024)): "empty"} {
		if err := Unpack(strings.NewReader(text), into(t, t.TempDir(), "."), Options{}); !fault.Is(err, fault.File) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", text, err, want)
		}
	}
}

// TestTimesOfNoYear change nothing.
func TestTimesOfNoYear(t *testing.T) {
	dir := t.TempDir()
	h := fileEntry("f")
	h.ModTime, h.Format = time.Unix(1<<40, 0), tar.FormatPAX
	check(t, Unpack(bytes.NewReader(stream(t, h)), into(t, dir, "."), Options{}))
	info, err := os.Stat(filepath.Join(dir, "f"))
	if check(t, err); time.Since(info.ModTime()).Abs() > time.Hour {
		t.Errorf("%s", info.ModTime())
	}
}

// FuzzUnpack holds that no stream reaches what is beside its target.
func FuzzUnpack(f *testing.F) {
	f.Add(stream(f, dirEntry("t"), fileEntry("t/a"), softEntry("t/l", "a"), hardEntry("t/h", "t/a")))
	f.Add(stream(f, softEntry("t/l", "../.."), fileEntry("t/l/beside")))
	f.Add(stream(f, fileEntry("../beside"), hardEntry("t/x", "../beside")))
	f.Add(stream(f, tar.Header{Typeflag: tar.TypeReg, Name: "t/" + strings.Repeat("n", 200), Linkname: "x", Format: tar.FormatPAX, ModTime: moment}))
	base := f.TempDir()
	target := filepath.Join(base, "target")
	beside := filepath.Join(base, "beside")
	if err := os.WriteFile(beside, []byte("good"), 0o600); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		check(t, os.Mkdir(target, 0o755))
		defer os.RemoveAll(target)
		Unpack(io.LimitReader(bytes.NewReader(data), 1<<20), into(t, target, "."), Options{Top: "t", Foreign: true})
		names, _ := os.ReadDir(base)
		if text, err := os.ReadFile(beside); string(text) != "good" || err != nil || len(names) != 2 {
			t.Fatalf("beside the target: %v, %q %v", names, text, err)
		}
		if info, err := os.Lstat(beside); err != nil || info.Sys().(*syscall.Stat_t).Nlink != 1 {
			t.Fatal("a link leads out")
		}
	})
}
