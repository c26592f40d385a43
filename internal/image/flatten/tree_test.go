package flatten

import (
	"archive/tar"
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"aegis/internal/fault"
)

// flat is what layers come to: a line for each name, with what tells it from others.
func flat(t testing.TB, layers ...[]byte) (string, error) {
	t.Helper()
	all := newTree()
	for i, l := range layers {
		if err := all.apply(bytes.NewReader(l), i); err != nil {
			return "", err
		}
	}
	var out []string
	first := map[*node]string{}
	all.each(func(p string, n *name) error {
		switch {
		case n.kind == tar.TypeDir:
			p += "/"
		case first[n.node] != "":
			p += "=" + first[n.node]
		case n.kind == tar.TypeSymlink:
			p += ">" + n.link
		case n.kind == tar.TypeReg:
			p += fmt.Sprintf(":%d", n.layer)
		}
		if first[n.node] == "" {
			first[n.node] = p
		}
		out = append(out, p)
		return nil
	})
	return strings.Join(out, " "), nil
}

// TestLayers holds what layers over each other come to.
func TestLayers(t *testing.T) {
	f := func(names ...string) (out []entry) {
		for _, n := range names {
			n, link, _ := strings.Cut(n, ">")
			out = append(out, entry{name: n, link: link})
		}
		return out
	}
	for name, c := range map[string]struct {
		layers [][]entry
		want   string
	}{
		"one":                       {[][]entry{f("./", "./a/", "a/b", "/c", "d/e/f")}, "a/ a/b:0 c:0 d/ d/e/ d/e/f:0"},
		"a file over a file":        {[][]entry{f("a", "b"), f("a")}, "a:1 b:0"},
		"a directory over one":      {[][]entry{f("a/", "a/b"), f("a/", "a/c")}, "a/ a/b:0 a/c:1"},
		"a file over a directory":   {[][]entry{f("a/", "a/b"), f("a")}, "a:1"},
		"a directory over a file":   {[][]entry{f("a"), f("a/", "a/b")}, "a/ a/b:1"},
		"a directory over a link":   {[][]entry{f("x/", "x/y", "a>x"), f("a/", "a/b")}, "a/ a/b:1 x/ x/y:0"},
		"a whiteout":                {[][]entry{f("a", "b"), f(".wh.a")}, "b:0"},
		"of a directory":            {[][]entry{f("a/b/c", "d"), f("a/.wh.b")}, "a/ d:0"},
		"of nothing":                {[][]entry{f("a"), f(".wh.b", "x/.wh.y")}, "a:0"},
		"not of its own layer":      {[][]entry{f("a/x"), f("a/b", ".wh.a", "a/c")}, "a/ a/b:1 a/c:1"},
		"whichever comes first":     {[][]entry{f("a"), f("a", ".wh.a")}, "a:1"},
		"and again":                 {[][]entry{f("a"), f(".wh.a"), f("a")}, "a:2"},
		"an opaque directory":       {[][]entry{f("a/b", "a/c/d"), f("a/", "a/e", "a/.wh..wh..opq")}, "a/ a/e:1"},
		"an opaque root":            {[][]entry{f("a", "b/c"), f(".wh..wh..opq", "d")}, "d:1"},
		"the bookkeeping of AUFS":   {[][]entry{f("a", ".wh..wh.aufs", ".wh..wh.plnk/")}, "a:0"},
		"an entry through a link":   {[][]entry{f("usr/lib/", "lib>usr/lib"), f("lib/x")}, "lib>usr/lib usr/ usr/lib/ usr/lib/x:1"},
		"through an absolute one":   {[][]entry{f("run/", "var/run>/run", "var/run/x")}, "run/ run/x:0 var/ var/run>/run"},
		"through one that goes up":  {[][]entry{f("a/b/", "c/", "a/b/up>../../c", "a/b/up/x")}, "a/ a/b/ a/b/up>../../c c/ c/x:0"},
		"a link that leads out":     {[][]entry{f("a>../../../etc/passwd")}, "a>../../../etc/passwd"},
		"a whiteout through a link": {[][]entry{f("x/y", "a>x"), f("a/.wh.y")}, "a>x x/"},
		"below the kernel's":        {[][]entry{f("dev/", "dev/x", "proc/1/y", "sys/z", "dev.x")}, "dev/ dev.x:0"},
	} {
		var layers [][]byte
		for _, l := range c.layers {
			layers = append(layers, stream(t, l...))
		}
		if got, err := flat(t, layers...); err != nil || got != c.want {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.want)
		}
	}
}

// TestHardLinks holds that a file keeps its other names.
func TestHardLinks(t *testing.T) {
	low := stream(t, entry{name: "a", body: "x"}, entry{name: "b", link: "a", kind: tar.TypeLink})
	up := stream(t, entry{name: ".wh.a"}, entry{name: "c/d", link: "/b", kind: tar.TypeLink})
	if got, err := flat(t, low, up); err != nil || got != "b:0 c/ c/d=b:0" {
		t.Errorf("%q, %v", got, err)
	}
}

// hostile are streams that are refused, and a word of why.
func hostile(t testing.TB) map[string]struct {
	why  string
	data []byte
} {
	deep := strings.Repeat("d/", maxDepth+1)
	type c = struct {
		why  string
		data []byte
	}
	return map[string]c{
		"goes up":                      {"goes up", stream(t, entry{name: "../x"})},
		"goes up inside":               {"goes up", stream(t, entry{name: "a/../../x"})},
		"goes up below /proc":          {"goes up", stream(t, entry{name: "proc/../x/../../y"})},
		"hidden in a whiteout":         {"goes up", stream(t, entry{name: "../../.wh.x"})},
		"absolute link, climbing":      {"leads out", stream(t, entry{name: "a", link: "/../../etc"}, entry{name: "a/passwd"})},
		"a link that climbs":           {"leads out", stream(t, entry{name: "a", link: "../../.."}, entry{name: "a/passwd"})},
		"a whiteout that climbs":       {"leads out", stream(t, entry{name: "a", link: "../.."}, entry{name: "a/.wh.x"})},
		"links round and round":        {"symbolic links", stream(t, entry{name: "a", link: "b"}, entry{name: "b", link: "a"}, entry{name: "a/x"})},
		"below a file":                 {"no directory", stream(t, entry{name: "a"}, entry{name: "a/x"})},
		"hard link out":                {"goes up", stream(t, entry{name: "a", link: "../../etc/passwd", kind: tar.TypeLink})},
		"hard link to nothing":         {"not in the image", stream(t, entry{name: "a", link: "/etc/passwd", kind: tar.TypeLink})},
		"hard link to a directory":     {"the directory", stream(t, entry{name: "d/"}, entry{name: "a", link: "d", kind: tar.TypeLink})},
		"hard link by a climbing link": {"leads out", stream(t, entry{name: "l", link: ".."}, entry{name: "a", link: "l/x", kind: tar.TypeLink})},
		"character device":             {"device node", stream(t, entry{name: "mem", kind: tar.TypeChar})},
		"block device":                 {"device node", stream(t, entry{name: "x/sda", kind: tar.TypeBlock})},
		"an overlay's whiteout":        {"device node", stream(t, entry{name: "etc/passwd", kind: tar.TypeChar})},
		"an overlay's opaque":          {"overlayfs", stream(t, entry{name: "etc/", attrs: map[string]string{"trusted.overlay.opaque": "y"}})},
		"a user's redirect":            {"overlayfs", stream(t, entry{name: "etc/", attrs: map[string]string{"user.overlay.redirect": "/x"}})},
		"whiteout of nothing":          {"hides no name", stream(t, entry{name: "a/.wh."})},
		"whiteout of itself":           {"hides no name", stream(t, entry{name: "a/.wh.."})},
		"whiteout of above":            {"hides no name", stream(t, entry{name: "a/.wh..."})},
		"no root directory":            {"no directory", stream(t, entry{name: "./", kind: tar.TypeSymlink, link: "/etc"})},
		"too deep":                     {"deep", stream(t, entry{name: deep + "x"})},
		"a long name":                  {"more than 255", stream(t, entry{name: strings.Repeat("n", 256)})},
		"a long path":                  {"more than 4095", stream(t, entry{name: strings.Repeat("name/", 820) + "x"})},
		"a user beyond all":            {"user", stream(t, entry{name: "a", uid: 1 << 32})},
		"many attributes":              {"ext4 has room", stream(t, entry{name: "a", attrs: map[string]string{"user.x": strings.Repeat("v", maxAttrs)}})},
		"a kind that is not known":     {"unknown kind", stream(t, entry{name: "a", kind: 'V'})},
		"cut short":                    {"can't be read", stream(t, entry{name: "a", body: strings.Repeat("x", 4096)})[:2048]},
	}
}

// TestHostile holds that each is refused with its reason.
func TestHostile(t *testing.T) {
	for name, c := range hostile(t) {
		got, err := flat(t, c.data)
		if !fault.Is(err, fault.ImageUnusable) || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.why)
		}
	}
}

// TestCounts holds that entries and names are counted.
func TestCounts(t *testing.T) {
	full := newTree()
	full.entries = MaxEntries
	if err := full.apply(bytes.NewReader(stream(t, entry{name: "a"})), 0); err == nil || !strings.Contains(err.Error(), "entries") {
		t.Errorf("one entry too many: %v", err)
	}
	full = newTree()
	full.words = MaxWords - 3
	if err := full.apply(bytes.NewReader(stream(t, entry{name: "abcd"})), 0); err == nil || !strings.Contains(err.Error(), "MiB") {
		t.Errorf("one name too many: %v", err)
	}
	implied := newTree()
	implied.apply(bytes.NewReader(stream(t, entry{name: "a/b/c/d"})), 0)
	if implied.entries != 4 {
		t.Errorf("a path of four counts as %d", implied.entries)
	}
	large := &tar.Header{Typeflag: tar.TypeReg, Name: "a", Size: MaxRoot + 1}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	w.WriteHeader(large)
	if err := newTree().apply(&out, 0); err == nil || !strings.Contains(err.Error(), "GiB") {
		t.Errorf("a file too large: %v", err)
	}
}

// TestBest holds which of several platforms is taken.
func TestBest(t *testing.T) {
	have := []Platform{{"unknown", "unknown", ""}, {"linux", "arm", "v6"}, {"linux", "arm", "v7"}, {"linux", "amd64", "v3"}, {"linux", "amd64", ""}, {"linux", "arm64", "v8"}}
	for text, want := range map[string]int{"linux/amd64": 4, "linux/arm64": 5, "linux/aarch64": 5, "linux/arm64/v8": 5, "linux/arm/v7": 2, "linux/arm": 1, "linux/s390x": -1, "linux/amd64/v3": 3} {
		p, err := ParsePlatform(text)
		if got := p.Best(have); err != nil || got != want {
			t.Errorf("%s: %d, %v, want %d", text, got, err, want)
		}
	}
	for _, bad := range []string{"linux", "windows/amd64", "linux/", "linux/amd64/v1/x", "linux/a b", strings.Repeat("x", 99)} {
		if p, err := ParsePlatform(bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q is %v", bad, p)
		}
	}
	if err := (Platform{"linux", "s390x", ""}).Missing(have); !slices.Contains(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == ' ' || r == ',' }), "linux/arm/v7") || strings.Contains(err.Error(), "unknown") {
		t.Errorf("%v", err)
	}
}
