package flatten

import (
	"archive/tar"
	"bytes"
	"cmp"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"aegis/internal/fault"
)

// debugfs runs commands of e2fsprogs on a file system.
func debugfs(t *testing.T, f *os.File, text string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-uc", text, "sh", f.Name())
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	out, err := cmd.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) || strings.Contains(string(out), "debugfs: not found") {
		t.Skip("pending: debugfs is not installed (package e2fsprogs)")
	}
	return string(out)
}

// twoLayers are an image with what is easily lost.
func twoLayers(t testing.TB) (low, up []byte) {
	low = stream(t, entry{name: "app", body: "old"}, entry{name: "etc/passwd", body: "root:x:0:0::/:/bin/sh\n"}, entry{name: "gone", body: "secret"},
		entry{name: "bin/su", body: "su", mode: 0o4755}, entry{name: "bin/su2", link: "bin/su", kind: tar.TypeLink}, entry{name: "bin/soft", link: "../etc/passwd"},
		entry{name: "pipe", kind: tar.TypeFifo}, entry{name: "zeros", body: strings.Repeat("\x00", 1<<20)}, entry{name: "dev/null", kind: tar.TypeChar},
		entry{name: "bin/ping", body: "ping", uid: 1000, attrs: map[string]string{"security.capability": "\x01\x00\x00\x02", "security.selinux": "x"}})
	up = stream(t, entry{name: "app", body: "new\n", mode: 0o555}, entry{name: ".wh.gone"}, entry{name: "empty"})
	return low, up
}

// TestArchives holds that every kind of archive comes to the same sound file system.
func TestArchives(t *testing.T) {
	low, up := twoLayers(t)
	docker := members(t, dockerFiles("linux/amd64", low, up))
	old := dockerFiles("linux/amd64", low, up)
	linked := []entry{{name: "1/layer.tar", body: string(up)}, {name: "real.tar", body: string(low)}, {name: "0/layer.tar", link: "../real.tar"}}
	for _, name := range []string{"manifest.json", Digest(configOf("linux/amd64", low, up))[7:] + ".json"} {
		linked = append(linked, entry{name: name, body: string(old[name])})
	}
	var first []byte
	for _, c := range []struct {
		kind   string
		data   []byte
		name   string
		layers int
	}{
		{"docker archive", docker, "app:1", 2},
		{"the same by gzip", gzipped(docker), "app:1", 2},
		{"the same by zstd", zstandard(docker), "app:1", 2},
		{"with a layer by a link", stream(t, linked...), "app:1", 2},
		{"OCI layout", members(t, ociFiles("linux/amd64", low, up)), "app:2", 2},
		{"OCI layout without a platform", members(t, ociFiles("", low, up)), "app:2", 2},
	} {
		res, out, err := imported(t, c.data)
		if err != nil || len(res.Names) != 1 || res.Names[0] != c.name || len(res.DiffIDs) != c.layers || !strings.HasPrefix(res.Digest, "sha256:") || !bytes.Contains(res.Config, []byte("/app")) {
			t.Errorf("%s: %+v, %v", c.kind, res, err)
			continue
		}
		got, _ := os.ReadFile(out.Name())
		if first == nil {
			first = got
			sound(t, out)
		}
		if !bytes.Equal(got, first) {
			t.Errorf("%s: another file system", c.kind)
		}
	}
}

// sound lets e2fsck and debugfs look. e2fsck dislikes one thing that no kernel reads:
// the bits of the inode bitmap behind the last inode are not set.
func sound(t *testing.T, out *os.File) {
	t.Helper()
	got := debugfs(t, out, `e2fsck -fn "$1"; for c in "cat /app" "cat /etc/passwd" "stat /bin/su" "stat /bin/soft" "stat /pipe" "ea_list /bin/ping" "stat /bin/ping" "ls -p /dev" "ls -p /"; do echo "== $c"; debugfs -R "$c" "$1"; done; du -k "$1"`)
	for line := range strings.Lines(got) {
		if strings.Contains(line, "?") && !strings.HasPrefix(line, "Padding at end of inode bitmap") {
			t.Errorf("e2fsck: %s", line)
		}
	}
	for _, want := range []string{"new\n", "root:x:0:0", "Mode:  04755", "Links: 2", `"../etc/passwd"`, "Type: FIFO", "security.capability (4) = 01 00 00 02", "User:  1000", "/empty/"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
	for _, bad := range []string{"gone", "selinux", "/null/"} {
		if strings.Contains(got, bad) {
			t.Errorf("%q in:\n%s", bad, got)
		}
	}
}

// TestRoots holds that a root's own tar is an image, and is the same one each time.
func TestRoots(t *testing.T) {
	low, _ := twoLayers(t)
	a, out, err := imported(t, low)
	if err != nil || len(a.DiffIDs) != 1 || a.DiffIDs[0] != Digest(low) {
		t.Fatalf("%+v, %v", a, err)
	}
	if got := debugfs(t, out, `debugfs -R "cat /app" "$1"`); !strings.Contains(got, "old") {
		t.Error(got)
	}
	info, _ := out.Stat()
	if blocks := debugfs(t, out, `du -k "$1"`); strings.HasPrefix(blocks, "1") && info.Size() > 1<<20 && len(strings.Fields(blocks)[0]) > 3 {
		t.Errorf("zeros take room: %s of %d", blocks, info.Size())
	}
	for name, pack := range packers {
		if b, _, err := imported(t, pack(low)); err != nil || a.Digest != b.Digest {
			t.Errorf("%s and, by %s, %s: %v", a.Digest, name, b.Digest, err)
		}
	}
	if res, _, err := imported(t, stream(t, entry{name: "manifest.json", body: "[]"}, entry{name: "index.json", body: "{}"})); err != nil || len(res.DiffIDs) != 1 {
		t.Errorf("a root with files of such names: %+v, %v", res, err)
	}
}

// TestArchivesRefused holds what is refused of archives, with the reason, and the kind.
func TestArchivesRefused(t *testing.T) {
	low, up := twoLayers(t)
	changed := func(files map[string][]byte, change func(map[string][]byte)) []byte {
		change(files)
		return members(t, files)
	}
	docker, oci := func() map[string][]byte { return dockerFiles("linux/amd64", low, up) }, func() map[string][]byte { return ociFiles("linux/amd64", low, up) }
	blobs := func(files map[string][]byte, change func(string, []byte) []byte) []byte {
		for name, data := range files {
			if strings.HasPrefix(name, "blobs/") {
				files[name] = change(name, data)
			}
		}
		return members(t, files)
	}
	refusals := map[string]struct {
		why  string
		data []byte
		kind fault.Kind
	}{
		"nothing":                   {"no archive", nil, ""},
		"text":                      {"no archive", []byte(strings.Repeat("hello ", 500)), ""},
		"an empty tar":              {"is empty", stream(t), ""},
		"cut between entries":       {"cut short", low[:len(low)-1024], ""},
		"another platform":          {"not made for linux/amd64, but for linux/arm64", members(t, dockerFiles("linux/arm64", low)), fault.ImageMissing},
		"a layout's other platform": {"not made for linux/amd64, but for linux/arm64", members(t, ociFiles("linux/arm64", low)), fault.ImageMissing},
		"no config":                 {"is not in it", changed(docker(), func(m map[string][]byte) { delete(m, Digest(configOf("linux/amd64", low, up))[7:]+".json") }), ""},
		"no layer":                  {"is not in it", changed(docker(), func(m map[string][]byte) { delete(m, "1/layer.tar") }), ""},
		"another layer":             {"has the digest", changed(docker(), func(m map[string][]byte) { m["1/layer.tar"] = stream(t, entry{name: "evil"}) }), ""},
		"another config":            {"of its name", changed(docker(), func(m map[string][]byte) { m[Digest(configOf("linux/amd64", low, up))[7:]+".json"] = []byte("{}") }), ""},
		"a layer that climbs":       {"goes up", members(t, dockerFiles("linux/amd64", stream(t, entry{name: "../x"}))), ""},
		"two images":                {"2 images", changed(docker(), func(m map[string][]byte) { m["manifest.json"] = []byte(`[{"Config":"a"},{"Config":"b"}]`) }), ""},
		"blobs that are others":     {"has the digest", blobs(oci(), func(_ string, b []byte) []byte { return append(b, ' ') }), ""},
		"a layer packed otherwise":  {"a layer has the digest", repacked(t, oci(), low), ""},
		"no blobs":                  {"is not in it", changed(oci(), func(m map[string][]byte) { clear(m); m["oci-layout"] = nil; m["index.json"] = oci()["index.json"] }), ""},
		"an index of nothing":       {"no image", changed(oci(), func(m map[string][]byte) { m["index.json"] = []byte("{}") }), ""},
		"an index that is none":     {"can't be read", changed(oci(), func(m map[string][]byte) { m["index.json"] = []byte("[") }), ""},
		"a digest that leads out": {"is not a digest", changed(oci(), func(m map[string][]byte) {
			m["index.json"] = bytes.ReplaceAll(m["index.json"], []byte("sha256:"), []byte("sha256:../../"))
		}), ""},
		"a document beyond all size": {"MiB", changed(oci(), func(m map[string][]byte) { m["index.json"] = bytes.Repeat([]byte(" "), MaxDocument+1) }), ""},
	}
	for name, c := range refusals {
		kind := cmp.Or(c.kind, fault.ImageUnusable)
		res, _, err := imported(t, c.data)
		if !fault.Is(err, kind) || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %+v, %v, want %s %q", name, res, err, kind, c.why)
		}
	}
	for name, c := range hostile(t) {
		if _, _, err := imported(t, c.data); !fault.Is(err, fault.ImageUnusable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestPackingsRefused holds what is refused of compressed archives.
func TestPackingsRefused(t *testing.T) {
	low, _ := twoLayers(t)
	for name, c := range map[string]struct {
		why  string
		data []byte
	}{
		"by lzma":             {"xz -d", []byte("\x5d\x00\x00\x00\x01")},
		"a broken xz":         {"unpacked", []byte("\xfd7zXZ\x00\x00\x00")},
		"an xz with a filter": {"xz -d", []byte("\xfd\x37\x7a\x58\x5a\x00\x00\x01\x69\x22\xde\x36\x02\x01\x04\x00\x21\x01\x16\x00\x0d\x86\x35\x1f\x01\x00\x05\x6d\x6f\x64\x75\x6c\x65\x00\x00\x00\x28\x26\x24\x0c\x00\x01\x1a\x06\xc5\xea\xc8\x79\x90\x42\x99\x0d\x01\x00\x00\x00\x00\x01\x59\x5a")},
		"a cut xz":            {"can't be read", xzipped(low)[:60]},
		"a broken gzip":       {"unpacked", []byte{0x1f, 0x8b, 9, 9, 9, 9, 9}},
		"a cut gzip":          {"can't be read", gzipped(low)[:60]},
	} {
		if _, _, err := imported(t, c.data); !fault.Is(err, fault.ImageUnusable) || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v, want %q", name, err, c.why)
		}
	}
}

// repacked is a layout in which a layer's blob unpacks to the same and is another.
func repacked(t *testing.T, files map[string][]byte, layer []byte) []byte {
	d := descriptor{Digest: Digest(gzipped(layer))}
	place, err := d.place()
	if err != nil || files[place] == nil {
		t.Fatalf("%s is not in the layout: %v", place, err)
	}
	files[place] = append(files[place], gzipped(nil)...)
	return members(t, files)
}

// TestSparse holds that a file with holes is read and changed as one without.
func TestSparse(t *testing.T) {
	f := fileOf(t, nil)
	s, want := &sparse{file: f, limit: 1 << 20}, make([]byte, 64<<10)
	put := func(at int64, data []byte) {
		copy(want[at:], data)
		s.Seek(at, io.SeekStart)
		if n, err := s.Write(data); n != len(data) || err != nil {
			t.Fatal(n, err)
		}
	}
	put(0, bytes.Repeat([]byte("x"), 5000))
	put(5000, make([]byte, 40000))
	put(45000, []byte("end"))
	put(100, make([]byte, 200)) // zeros over what was written
	put(20000, []byte("middle"))
	s.Seek(0, io.SeekStart)
	got, err := io.ReadAll(s)
	if err != nil || !bytes.Equal(got, want[:45003]) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if err := s.finish(); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(f.Name()); !bytes.Equal(got, want[:45003]) {
		t.Errorf("the file has %d bytes", len(got))
	}
	s.Seek(1<<20-1, io.SeekStart)
	if _, err := s.Write([]byte("xy")); !fault.Is(err, fault.ImageUnusable) {
		t.Errorf("beyond the limit: %v", err)
	}
	tail := &sparse{file: fileOf(t, nil), limit: 1 << 20}
	tail.Write(make([]byte, 10000))
	tail.Seek(0, io.SeekStart)
	if got, err := io.ReadAll(tail); err != nil || len(got) != 10000 {
		t.Errorf("a file of zeros has %d bytes, %v", len(got), err)
	}
}

// TestBomb holds that unpacking ends.
func TestBomb(t *testing.T) {
	for name, pack := range packers {
		data := pack(make([]byte, 1<<20))
		for limit, fine := range map[int64]bool{1 << 20: true, 1<<20 - 1: false, 0: false} {
			in, _, err := unpack(bytes.NewReader(data), limit)
			if err == nil {
				_, err = io.Copy(io.Discard, in)
			}
			if (err == nil) != fine {
				t.Errorf("%s, at most %d: %v", name, limit, err)
			}
		}
	}
}

// TestFullFile holds that an error of the files stays what it is.
func TestFullFile(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Skip("pending: there is no /dev/full")
	}
	defer full.Close()
	low, _ := twoLayers(t)
	for _, files := range []Files{{Out: full, Scratch: fileOf(t, nil)}, {Out: fileOf(t, nil), Scratch: full}} {
		files.In = []*os.File{fileOf(t, gzipped(low))}
		want, _ := ParsePlatform("")
		_, err := Do(Job{Kind: Archive, Platform: want}, files, nil)
		if err == nil || fault.Is(err, fault.ImageUnusable) || !strings.Contains(err.Error(), "no space left") {
			t.Errorf("%v", err)
		}
	}
}

const maxSeed = 4 << 10

// seeds are small layers: large ones hold the fuzzer up.
func seeds(t testing.TB) (low, up []byte) {
	return stream(t, entry{name: "a/b", body: "x"}, entry{name: "l", link: "a"}, entry{name: "h", link: "a/b", kind: tar.TypeLink}),
		stream(t, entry{name: "l/.wh.b"}, entry{name: "a/c", body: "y"}, entry{name: ".wh..wh..opq"})
}

// FuzzArchive holds that no archive does more than be refused.
func FuzzArchive(f *testing.F) {
	low, up := seeds(f)
	for _, data := range [][]byte{low, gzipped(up), zstandard(up), members(f, dockerFiles("linux/amd64", up)), members(f, ociFiles("linux/amd64", up))} {
		f.Add(data)
	}
	for _, c := range hostile(f) {
		if len(c.data) < maxSeed {
			f.Add(c.data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _, err := imported(t, data)
		if err != nil && fault.As(err).Kind == fault.Internal {
			t.Errorf("refused without a reason: %v", err)
		}
	})
}

// FuzzLayers holds that layers over each other come to a file system, or are refused.
func FuzzLayers(f *testing.F) {
	low, up := seeds(f)
	f.Add(low, up)
	for _, c := range hostile(f) {
		if len(c.data) < maxSeed {
			f.Add(low, c.data)
		}
	}
	f.Fuzz(func(t *testing.T, low, up []byte) {
		out := fileOf(t, nil)
		files := Files{Out: out, In: []*os.File{fileOf(t, low), fileOf(t, up)}}
		_, err := Do(Job{Kind: Layers, DiffIDs: []string{"", ""}}, files, nil)
		if err != nil && fault.As(err).Kind == fault.Internal {
			t.Errorf("refused without a reason: %v", err)
		}
	})
}
