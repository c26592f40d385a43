package tree

import (
	"path"
	"strings"
)

// depth is how many directories a path of a stream goes through.
func depth(name string) int { return strings.Count(name, "/") }

// clean checks the name of an entry: relative, without "..", of sane length.
func clean(name string) (string, error) {
	short := name[:min(len(name), 100)]
	switch {
	case len(name) > maxPath:
		return "", refuse(short, "a name in the stream has %d bytes, and at most %d are allowed", len(name), maxPath)
	case name == "" || strings.Contains(name, "\x00"):
		return "", refuse(short, "the stream holds the name %q, which no file can have", short)
	case path.IsAbs(name):
		return "", refuse(short, "the stream holds the absolute name %q", short)
	case depth(name) > maxDepth:
		return "", refuse(short, "the stream holds a directory that is more than %d deep", maxDepth)
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", refuse(short, `the stream holds the name %q, which leads up by ".."`, short)
		}
	}
	return path.Clean(name), nil
}

// rename gives an entry its place: what is below top goes below as. Without a top
// every entry keeps its name.
func rename(name, top, as string) (string, error) {
	if top == "" || top == "." {
		return path.Join(as, name), nil
	}
	rest, found := strings.CutPrefix(name, top)
	if !found || rest != "" && rest[0] != '/' {
		return "", refuse(name, "the stream holds %q, which is not below %q", name, top)
	}
	return path.Join(as, rest), nil
}

// leads reports whether a symbolic link may lead out of the copied tree. name is the
// link's place below the top: how many directories it is in. A target may climb at
// its beginning alone, where each ".." leaves a real directory; behind the name of
// another link ".." could lead anywhere. What is left goes down, through links that
// were looked at in the same way.
func leads(name, target string) bool {
	if path.IsAbs(target) {
		return true
	}
	climbed, down := 0, false
	for part := range strings.SplitSeq(target, "/") {
		switch part {
		case "", ".":
		case "..":
			if climbed++; down || climbed > depth(name) {
				return true
			}
		default:
			down = true
		}
	}
	return false
}
