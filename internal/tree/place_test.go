package tree

import (
	"io/fs"
	"strings"
	"testing"

	"aegis/internal/fault"
)

// look knows /d and /d/sub, directories, /f, a file, /l, a link to /d, and /lf, one to /f.
func look(name string) (string, bool, error) {
	known := map[string]string{"/": "/", "/d": "/d", "/d/sub": "/d/sub", "/l": "/d", "/l/sub": "/d/sub"}
	switch {
	case known[name] != "":
		return known[name], true, nil
	case name == "/f" || name == "/lf":
		return "/f", false, nil
	case strings.HasPrefix(name, "/f/"):
		return "", false, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrInvalid}
	}
	return "", false, fs.ErrNotExist
}

func TestPlace(t *testing.T) {
	for _, c := range []struct {
		path, top string
		dir       bool
		into, as  string // or
		why       string
	}{
		{"/d", "x", false, "/d", "x", ""},
		{"/d/", "x", false, "/d", "x", ""},
		{"/l", "x", true, "/d", "x", ""},
		{"/d", ".", true, "/d", ".", ""},
		{"/d", "", true, "/d", ".", ""},
		{"/f", "x", false, "/", "f", ""},
		{"/lf", "x", false, "/", "f", ""},
		{"/d/new", "x", false, "/d", "new", ""},
		{"/l/new", "x", true, "/d", "new", ""},
		{"/l/new/", "x", true, "/d", "new", ""},
		{"/d/new", ".", true, "/d", "new", ""},
		{"d/new", "x", false, "/d", "new", ""},
		{"/d/new/", "x", false, "", "", `"/d/new" is not there`},
		{"/f", "x", true, "", "", "is not a directory"},
		{"/f", "", true, "", "", "is not a directory"},
		{"/f/", "x", false, "", "", "is not a directory"},
		{"/no/new", "x", false, "", "", `"/no" is not there`},
		{"/f/new", "x", false, "", "", "invalid"},
		{"/d/new", "", true, "", "", `"/d/new" is not there`},
	} {
		into, as, err := Place(Parse(c.path, "/"), c.top, c.dir, look)
		switch {
		case c.why == "" && (err != nil || into != c.into || as != c.as):
			t.Errorf("%q of %q: %q %q %v, want %q %q", c.top, c.path, into, as, err, c.into, c.as)
		case c.why != "" && (!fault.Is(err, fault.File) || !strings.Contains(err.Error(), c.why)):
			t.Errorf("%q of %q: %q %q %v, want %q", c.top, c.path, into, as, err, c.why)
		}
	}
}

func TestPick(t *testing.T) {
	for _, c := range []struct {
		path           string
		follow         bool
		dir, name, top string // or
		why            string
	}{
		{"/d/sub", false, "/d", "sub", "sub", ""},
		{"/l", false, "/", "l", "l", ""},
		{"/l", true, "/", "d", "l", ""},
		{"/l/", false, "/", "d", "l", ""},
		{"/l/.", false, "/d", ".", ".", ""},
		{"/lf", true, "/", "f", "lf", ""},
		{"/", false, "/", ".", ".", ""},
		{".", false, "/", ".", ".", ""},
		{"d/../f", false, "/", "f", "f", ""},
		{"/d/x", false, "/d", "x", "x", ""}, // the packer finds that it is not there
		{"/f/", false, "", "", "f", "is not a directory"},
		{"/no/x", false, "", "", "x", `"/no" is not there`},
		{"/no/", false, "", "", "no", `"/no" is not there`},
	} {
		p := Parse(c.path, "/")
		dir, name, err := Pick(p, c.follow, look)
		if p.Top() != c.top {
			t.Errorf("%q: the top is %q, want %q", c.path, p.Top(), c.top)
		}
		switch {
		case c.why == "" && (err != nil || dir != c.dir || name != c.name):
			t.Errorf("%q: %q %q %v, want %q %q", c.path, dir, name, err, c.dir, c.name)
		case c.why != "" && (!fault.Is(err, fault.File) || !strings.Contains(err.Error(), c.why)):
			t.Errorf("%q: %v, want %q", c.path, err, c.why)
		}
	}
}
