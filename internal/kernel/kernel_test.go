package kernel

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cavaliergopher/cpio"

	"aegis/internal/fault"
)

// module is a minimal ELF file with a .modinfo section, as modpost writes it.
func module(info ...string) []byte {
	modinfo := []byte(strings.Join(info, "\x00") + "\x00")
	names := []byte("\x00.modinfo\x00.shstrtab\x00")
	const header, section = 64, 64
	var b bytes.Buffer
	put := func(v any) { binary.Write(&b, binary.LittleEndian, v) }
	put(elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', 2, 1, 1}, Type: 1, Machine: 62, Version: 1,
		Shoff: uint64(header + len(modinfo) + len(names)), Ehsize: header, Shentsize: section, Shnum: 3, Shstrndx: 2,
	})
	b.Write(modinfo)
	b.Write(names)
	put(elf.Section64{})
	put(elf.Section64{Name: 1, Type: 1, Off: header, Size: uint64(len(modinfo))})
	put(elf.Section64{Name: 10, Type: 3, Off: uint64(header + len(modinfo)), Size: uint64(len(names))})
	return b.Bytes()
}

// packageFiles is a kernel package in which fuse is built in and blk needs ring and ring needs core.
func packageFiles() map[string][]byte {
	const dir = "./lib/modules/9.1-cloud/kernel/drivers/"
	files := map[string][]byte{
		"./boot/vmlinuz-9.1-cloud":                []byte("image"),
		"./boot/System.map-9.1-cloud":             []byte("map"),
		"./lib/modules/9.1-cloud/modules.builtin": []byte("kernel/fs/fuse/fuse.ko\n"),
		dir + "virtio.ko":                         module("depends=", "name=virtio"),
		dir + "virtio-ring.ko":                    module("depends=virtio"),
		dir + "unwanted.ko":                       []byte("not read"),
	}
	for _, name := range []string{"virtio_mmio", "virtio_console", "virtio_blk", "virtio_net", "vmw_vsock_virtio_transport"} {
		files[dir+name+".ko"] = module("license=GPL", "depends=virtio-ring,virtio")
	}
	for _, name := range []string{"overlay", "erofs", "tun"} {
		files[dir+name+".ko"] = module("depends=")
	}
	return files
}

func pack(t *testing.T, files map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for name, data := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(data))}); err != nil {
			t.Fatal(err)
		}
		w.Write(data)
	}
	w.Close()
	return b.Bytes()
}

// tools puts stand-ins of apt and dpkg on PATH: the package is the tar archive itself.
func tools(t *testing.T, files map[string][]byte) {
	t.Helper()
	dir := t.TempDir()
	deb := filepath.Join(dir, "content")
	for name, text := range map[string]string{
		"apt-cache": "echo 'linux-image-cloud'; echo '  Depends: linux-image-9.1-cloud'",
		"apt-get":   "/bin/cp " + deb + " ./$2_1_any.deb",
		"dpkg-deb":  "/bin/cat \"$2\"",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(deb, pack(t, files), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
}

func ensure(t *testing.T, dir string) Kernel {
	t.Helper()
	tools(t, packageFiles())
	k, err := Ensure(t.Context(), dir, runtime.GOARCH, nil)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestEnsureKeepsWhatAGuestNeeds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kernel")
	k := ensure(t, dir)
	if k.Version != "9.1-cloud" || k.Dir != filepath.Join(dir, "9.1-cloud") {
		t.Errorf("the kernel is %s in %s", k.Version, k.Dir)
	}
	want := []string{"virtio", "virtio_ring", "virtio_mmio", "virtio_console", "virtio_blk", "overlay"}
	if got := k.modules[Base]; !slices.Equal(got, want) {
		t.Errorf("the modules are %q, not %q", got, want)
	}
	if got := k.modules[NIC]; !slices.Equal(got, []string{"virtio_net"}) {
		t.Errorf("the modules of a NIC are %q", got)
	}
	if err := k.Verify(); err != nil {
		t.Error(err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("besides the kernel there is something: %v", entries)
	}
	if entries, _ := os.ReadDir(filepath.Join(k.Dir, nameModules)); len(entries) != 10 {
		t.Errorf("%d modules are kept, not 10", len(entries))
	}
	t.Setenv("PATH", "/nonexistent")
	if again, err := Ensure(t.Context(), dir, runtime.GOARCH, nil); err != nil || again.Dir != k.Dir {
		t.Errorf("a kernel that is there is not enough: %v", err)
	}
}

func TestDamageIsFound(t *testing.T) {
	dir := t.TempDir()
	k := ensure(t, dir)
	module := filepath.Join(k.Dir, nameModules, "overlay.ko")
	for name, c := range map[string]struct {
		spoil func() error
		file  string
		deep  bool // only Verify sees it
	}{
		"cut image":      {func() error { return os.Truncate(k.Image, 3) }, k.Image, false},
		"missing module": {func() error { return os.Remove(module) }, module, false},
		"cut manifest":   {func() error { return os.Truncate(filepath.Join(k.Dir, nameManifest), 20) }, nameManifest, false},
		"altered image":  {func() error { return os.WriteFile(k.Image, []byte("imagf"), 0o600) }, k.Image, true},
	} {
		t.Run(name, func(t *testing.T) {
			if err := c.spoil(); err != nil {
				t.Fatal(err)
			}
			found, err := Open(dir, runtime.GOARCH)
			if c.deep {
				if err != nil {
					t.Fatal(err)
				}
				err = found.Verify()
			}
			if !fault.Is(err, fault.AssetDamaged) || !strings.Contains(err.Error(), c.file) {
				t.Errorf("the error is %v", err)
			}
			if mended := ensure(t, dir); mended.Verify() != nil {
				t.Error("Ensure does not mend it")
			}
		})
	}
}

func TestMissing(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(dir, runtime.GOARCH); !fault.Is(err, fault.AssetMissing) {
		t.Errorf("without a kernel Open says %v", err)
	}
	for name, c := range map[string]struct{ tool, text, want string }{
		"no apt":     {"", "", "apt-cache is not on PATH"},
		"no lists":   {"apt-cache", "echo 'E: No packages found' >&2; exit 100", "apt-get update"},
		"no network": {"apt-get", "echo 'E: Could not resolve host' >&2; exit 100", "Could not resolve host"},
		"bad answer": {"apt-cache", "echo 'Depends: linux-image-$(id)'", "apt knows no package"},
		"no kernel":  {"dpkg-deb", "/bin/echo -n", "it holds no kernel"},
		"damaged":    {"dpkg-deb", "/bin/cat \"$2\"; echo 'corrupted' >&2; exit 2", "corrupted"},
	} {
		t.Run(name, func(t *testing.T) {
			tools(t, packageFiles())
			if path := os.Getenv("PATH"); c.tool == "" {
				t.Setenv("PATH", "/nonexistent")
			} else if err := os.WriteFile(filepath.Join(path, c.tool), []byte("#!/bin/sh\n"+c.text+"\n"), 0o700); err != nil {
				t.Fatal(err)
			}
			_, err := Ensure(t.Context(), dir, runtime.GOARCH, nil)
			if !fault.Is(err, fault.AssetMissing) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, without %q", err, c.want)
			}
			if entries, _ := os.ReadDir(dir); len(entries) != 0 {
				t.Errorf("it leaves %v", entries)
			}
		})
	}
}

func TestRefusesAKernelWithoutAModule(t *testing.T) {
	files := packageFiles()
	delete(files, "./lib/modules/9.1-cloud/kernel/drivers/overlay.ko")
	tools(t, files)
	if _, err := Ensure(t.Context(), t.TempDir(), runtime.GOARCH, nil); err == nil || !strings.Contains(err.Error(), "overlay") {
		t.Errorf("without overlay: %v", err)
	}
}

func TestOlderKernelsGo(t *testing.T) {
	dir := t.TempDir()
	old := ensure(t, dir)
	if err := os.Rename(old.Dir, filepath.Join(dir, "8.0-cloud")); err != nil {
		t.Fatal(err)
	}
	os.Truncate(filepath.Join(dir, "8.0-cloud", nameImage), 0) // else it would be found
	ensure(t, dir)
	if entries, _ := os.ReadDir(dir); len(entries) != 1 || entries[0].Name() != "9.1-cloud" {
		t.Errorf("after an upgrade there is %v", entries)
	}
}

func harness(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "harness")
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestInitrd(t *testing.T) {
	dir := t.TempDir()
	k := ensure(t, dir)
	path, err := Initrd(t.Context(), k, harness(t, "first"), dir)
	if err != nil {
		t.Fatal(err)
	}
	got := list(t, path)
	if got["init"] != "-rwxr-xr-x first" {
		t.Errorf("init is %q", got["init"])
	}
	if got["modules/order"] != "-rw-r--r-- virtio.ko\nvirtio_ring.ko\nvirtio_mmio.ko\nvirtio_console.ko\nvirtio_blk.ko\noverlay.ko\n" {
		t.Errorf("the order is %q", got["modules/order"])
	}
	if got["modules/order.erofs"] != "-rw-r--r-- erofs.ko\n" || got["modules/erofs.ko"] == "" {
		t.Errorf("the order of erofs is %q", got["modules/order.erofs"])
	}

	before, _ := os.Stat(path)
	if again, _ := Initrd(t.Context(), k, harness(t, "first"), dir); again != path {
		t.Errorf("the same harness gives %s and %s", path, again)
	}
	if after, _ := os.Stat(path); !os.SameFile(before, after) {
		t.Error("an archive that is there is made again")
	}
	if other, _ := Initrd(t.Context(), k, harness(t, "second"), dir); other == path {
		t.Error("another harness gives the same archive")
	}
	for _, cut := range []int64{before.Size() - 1, before.Size() - 200, 3, 0} {
		os.Truncate(path, cut)
		if _, err := Initrd(t.Context(), k, harness(t, "first"), dir); err != nil {
			t.Fatal(err)
		}
		if mended, _ := os.Stat(path); mended.Size() != before.Size() {
			t.Errorf("an archive cut to %d bytes is used", cut)
		}
	}
	if _, err := Initrd(t.Context(), k, filepath.Join(dir, "none"), dir); !fault.Is(err, fault.AssetMissing) {
		t.Errorf("without a harness: %v", err)
	}
}

func TestUnusedInitrdsGo(t *testing.T) {
	dir := t.TempDir()
	k := ensure(t, dir)
	old, _ := Initrd(t.Context(), k, harness(t, "old"), dir)
	used, _ := Initrd(t.Context(), k, harness(t, "used"), dir)
	past := time.Now().Add(-2 * initrdAge)
	if err := errors.Join(os.Chtimes(old, past, past), os.Chtimes(used, past, past)); err != nil {
		t.Fatal(err)
	}
	Initrd(t.Context(), k, harness(t, "used"), dir)
	Initrd(t.Context(), k, harness(t, "new"), dir)
	if _, err := os.Stat(old); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the old archive is there: %v", err)
	}
	if _, err := os.Stat(used); err != nil {
		t.Errorf("the archive in use is gone: %v", err)
	}
}

// list reads an archive with another implementation: name → mode and content.
func list(t *testing.T, path string) map[string]string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := map[string]string{}
	for r := cpio.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		data, _ := io.ReadAll(r)
		out[h.Name] = fmt.Sprintf("%v %s", h.FileInfo().Mode(), data)
	}
}

func FuzzDepends(f *testing.F) {
	f.Add(module("depends=a,b-c", "name=x"))
	f.Add([]byte("\x7fELF"))
	f.Fuzz(func(t *testing.T, data []byte) {
		names, err := depends(bytes.NewReader(data))
		if err != nil && names != nil {
			t.Error("names besides an error")
		}
	})
}

func FuzzPick(f *testing.F) {
	f.Add([]byte("not a tar archive"))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := filepath.Join(t.TempDir(), "in")
		os.Mkdir(dir, 0o700)
		pick(tar.NewReader(bytes.NewReader(data)), dir)
		if entries, _ := os.ReadDir(filepath.Dir(dir)); len(entries) != 1 {
			t.Errorf("it wrote outside its directory: %v", entries)
		}
	})
}
