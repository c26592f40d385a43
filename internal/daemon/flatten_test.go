package daemon

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"aegis/internal/confine"
	"aegis/internal/fault"
	"aegis/internal/image/flatten"
)

// TestMain lets this program be what confines itself, and what reads an image.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if status, mine := confine.Main(os.Args[1:]); mine {
			os.Exit(status)
		}
		if os.Args[1] == flattenWord {
			os.Exit(flattenMain(os.Args[2:]))
		}
	}
	os.Exit(m.Run())
}

// rungHere is the best that this machine allows.
func rungHere(t *testing.T) confine.Rung {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	found, err := confine.Ask(t.Context(), self, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return found.Rung
}

func scratchFile(t *testing.T, data []byte) *os.File {
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

func rootOf(t *testing.T, names ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, n := range names {
		if err := w.WriteHeader(&tar.Header{Name: n, Typeflag: tar.TypeReg, Mode: 0o755}); err != nil {
			t.Fatal(err)
		}
	}
	w.Close()
	return out.Bytes()
}

// TestFlattenerIsConfined holds that an image is read by a process on the machine's best
// rung, and that what it refuses, and its death, are told.
func TestFlattenerIsConfined(t *testing.T) {
	rung := rungHere(t)
	if !rung.On() {
		t.Skip("pending: this machine allows no confinement")
	}
	f := flattener{func() (confine.Rung, error) { return rung, nil }}
	want, _ := flatten.ParsePlatform("")
	do := func(job flatten.Job, data ...[]byte) (flatten.Result, *os.File, error) {
		files := flatten.Files{Out: scratchFile(t, nil), Scratch: scratchFile(t, nil)}
		for _, d := range data {
			files.In = append(files.In, scratchFile(t, d))
		}
		res, err := f.do(t.Context(), job, files, func(int64, int64) {})
		return res, files.Out, err
	}
	archive := flatten.Job{Kind: flatten.Archive, Platform: want}
	res, out, err := do(archive, rootOf(t, "bin/app"))
	info, _ := out.Stat()
	if err != nil || !strings.HasPrefix(res.Digest, "sha256:") || info.Size() == 0 {
		t.Errorf("%+v, %d bytes, %v", res, info.Size(), err)
	}
	if _, _, err := do(archive, rootOf(t, "../app")); !fault.Is(err, fault.ImageUnusable) || !strings.Contains(err.Error(), "goes up") {
		t.Errorf("a hostile one: %v", err)
	}
	layer := rootOf(t, "app")
	if _, _, err := do(flatten.Job{Kind: flatten.Layers, DiffIDs: []string{flatten.Digest(layer), ""}}, layer, rootOf(t, ".wh.app")); err != nil {
		t.Errorf("layers: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.do(ctx, archive, flatten.Files{Out: scratchFile(t, nil), In: []*os.File{scratchFile(t, layer)}}, func(int64, int64) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if full, err := os.OpenFile("/dev/full", os.O_RDWR, 0); err == nil {
		defer full.Close()
		if _, err := f.do(t.Context(), archive, flatten.Files{Out: full, In: []*os.File{scratchFile(t, layer)}}, func(int64, int64) {}); !errors.Is(err, unix.ENOSPC) {
			t.Errorf("a full disk: %v", err)
		}
	}
}

// TestFlattenerIsNotBelieved holds that what the process says is bounded and judged.
func TestFlattenerIsNotBelieved(t *testing.T) {
	for said, want := range map[string]string{
		"panic: runtime error: index out of range\n\ngoroutine 1 [running]:\n": "died: panic: runtime error: index out of range",
		"fatal error: runtime: out of memory\n":                                "MiB of memory",
		"":                                                                     "signal: killed",
	} {
		l := &lastWords{}
		l.Write([]byte(said))
		l.Write(bytes.Repeat([]byte("x"), 2*maxLastWords))
		if said == "" {
			l.text = nil
		}
		if err := l.explain(errors.New("signal: killed")); !fault.Is(err, fault.ImageUnusable) || !strings.HasSuffix(err.Error(), want) && !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "goroutine") {
			t.Errorf("%q: %v", said, err)
		}
		if len(l.text) > maxLastWords {
			t.Errorf("%d bytes are kept", len(l.text))
		}
	}
	for _, a := range []flattenAnswer{{Kind: fault.Usage, Why: "x"}, {Kind: "made-up", Why: "x"}} {
		if _, err := a.outcome(); fault.As(err).Kind != fault.Internal {
			t.Errorf("%+v is taken for %v", a, err)
		}
	}
}
