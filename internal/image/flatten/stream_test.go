package flatten

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// entry is one of a stream: a name that ends in a slash is a directory, one with a link
// a symbolic link, or with kind what that says.
type entry struct {
	name, link, body string
	kind             byte
	mode             int64
	uid              int
	attrs            map[string]string
}

// stream writes entries.
func stream(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Linkname: e.link, Typeflag: e.kind, Mode: e.mode, Uid: e.uid, ModTime: time.Unix(1700000000, 0), Format: tar.FormatPAX}
		switch {
		case e.kind != 0:
		case e.name[len(e.name)-1] == '/':
			h.Typeflag = tar.TypeDir
		case e.link != "":
			h.Typeflag = tar.TypeSymlink
		default:
			h.Typeflag = tar.TypeReg
		}
		if h.Mode == 0 {
			h.Mode = 0o755
		}
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(e.body))
		}
		for k, v := range e.attrs {
			if h.PAXRecords == nil {
				h.PAXRecords = map[string]string{}
			}
			h.PAXRecords[attrPrefix+k] = v
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatalf("%+v: %v", e, err)
		}
		io.WriteString(w, e.body)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func gzipped(data []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(data)
	w.Close()
	return out.Bytes()
}

func zstandard(data []byte) []byte {
	w, _ := zstd.NewWriter(nil)
	return w.EncodeAll(data, nil)
}

func xzipped(data []byte) []byte {
	var out bytes.Buffer
	w, _ := xz.NewWriter(&out)
	w.Write(data)
	w.Close()
	return out.Bytes()
}

// packers are the compressions that tests can write, and none.
var packers = map[string]func([]byte) []byte{"gzip": gzipped, "zstd": zstandard, "xz": xzipped, "none": func(b []byte) []byte { return b }}

// members writes an archive of whole files, in the order of their names.
func members(t testing.TB, files map[string][]byte) []byte {
	var entries []entry
	for _, name := range slices.Sorted(maps.Keys(files)) {
		entries = append(entries, entry{name: name, body: string(files[name])})
	}
	return stream(t, entries...)
}

// configOf is a config for layers.
func configOf(p string, layers ...[]byte) []byte {
	want, _ := ParsePlatform(p)
	var ids []string
	for _, l := range layers {
		ids = append(ids, Digest(l))
	}
	text, _ := json.Marshal(map[string]any{"os": want.OS, "architecture": want.Architecture,
		"config": map[string]any{"Entrypoint": []string{"/app"}}, "rootfs": map[string]any{"type": "layers", "diff_ids": ids}})
	return text
}

// dockerFiles are the files of an archive of docker's kind.
func dockerFiles(p string, layers ...[]byte) map[string][]byte {
	files := map[string][]byte{}
	conf := configOf(p, layers...)
	name := Digest(conf)[len("sha256:"):] + ".json"
	files[name] = conf
	var names []string
	for i, l := range layers {
		names = append(names, fmt.Sprintf("%d/layer.tar", i))
		files[names[i]] = l
	}
	files["manifest.json"], _ = json.Marshal([]dockerImage{{Config: name, RepoTags: []string{"app:1"}, Layers: names}})
	return files
}

// ociFiles are the files of a layout with gzipped layers.
func ociFiles(p string, layers ...[]byte) map[string][]byte {
	files := map[string][]byte{"oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`)}
	add := func(kind string, data []byte) descriptor {
		d := descriptor{MediaType: kind, Digest: Digest(data), Size: int64(len(data))}
		place, _ := d.place()
		files[place] = data
		return d
	}
	m := map[string]any{"schemaVersion": 2, "config": add("application/vnd.oci.image.config.v1+json", configOf(p, layers...))}
	var all []descriptor
	for _, l := range layers {
		all = append(all, add("application/vnd.oci.image.layer.v1.tar+gzip", gzipped(l)))
	}
	m["layers"] = all
	text, _ := json.Marshal(m)
	d := add(manifestTypes[0], text)
	d.Annotations = map[string]string{"org.opencontainers.image.ref.name": "app:2"}
	if p != "" {
		want, _ := ParsePlatform(p)
		d.Platform = &want
	}
	files["index.json"], _ = json.Marshal(map[string]any{"manifests": []descriptor{d}})
	return files
}

// fileOf is an open file with these bytes.
func fileOf(t testing.TB, data []byte) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// imported converts an archive.
func imported(t testing.TB, data []byte) (Result, *os.File, error) {
	t.Helper()
	want, _ := ParsePlatform("linux/amd64")
	out := fileOf(t, nil)
	res, err := Do(Job{Kind: Archive, Platform: want}, Files{Out: out, Scratch: fileOf(t, nil), In: []*os.File{fileOf(t, data)}}, nil)
	return res, out, err
}
