package image

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// tree is a tar stream with what a root has that is easily lost.
func tree(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	add := func(h tar.Header, content string) {
		h.Size = int64(len(content))
		h.ModTime = time.Unix(1700000000, 0)
		if h.Mode == 0 {
			h.Mode = 0o755
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, content)
	}
	add(tar.Header{Name: "./", Typeflag: tar.TypeDir}, "")
	add(tar.Header{Name: "./dev/", Typeflag: tar.TypeDir}, "")
	add(tar.Header{Name: "./dev/null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}, "")
	add(tar.Header{Name: "./proc/", Typeflag: tar.TypeDir}, "")
	add(tar.Header{Name: "./proc/left", Typeflag: tar.TypeReg}, "x")
	add(tar.Header{Name: "./disk", Typeflag: tar.TypeBlock, Devmajor: 8}, "")
	add(tar.Header{Name: "./pipe", Typeflag: tar.TypeFifo}, "")
	add(tar.Header{Name: "./bin/su", Typeflag: tar.TypeReg, Mode: 0o4755, Uid: 0, Gid: 42}, "su")
	add(tar.Header{Name: "./bin/link", Typeflag: tar.TypeLink, Linkname: "./bin/su"}, "")
	add(tar.Header{Name: "./bin/soft", Typeflag: tar.TypeSymlink, Linkname: "../../etc/passwd"}, "")
	add(tar.Header{Name: "./bin/ping", Typeflag: tar.TypeReg, Format: tar.FormatPAX,
		PAXRecords: map[string]string{"SCHILY.xattr.security.capability": "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"}}, "ping")
	for i := range 3000 {
		add(tar.Header{Name: fmt.Sprintf("./many/%04d-%s", i, strings.Repeat("n", 100)), Typeflag: tar.TypeReg}, "")
	}
	add(tar.Header{Name: "./large", Typeflag: tar.TypeReg}, strings.Repeat("0123456789abcdef", 1<<16))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// converted is the file system of a stream.
func converted(t testing.TB, stream []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), fileRoot)
	if err := convert(bytes.NewReader(stream), path); err != nil {
		t.Fatal(err)
	}
	return path
}

// script runs a shell script with the path as $1 and returns what it prints.
func script(t *testing.T, path, text string, wrap ...string) string {
	t.Helper()
	args := append(wrap, "sh", "-euc", text, "sh", path)
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func TestConvertIsDeterministic(t *testing.T) {
	stream := tree(t)
	a, _ := os.ReadFile(converted(t, stream))
	b, _ := os.ReadFile(converted(t, stream))
	if len(a) == 0 || !bytes.Equal(a, b) {
		t.Errorf("two conversions of one stream differ (%d and %d bytes)", len(a), len(b))
	}
}

// TestConvertIsSound lets e2fsck look. It dislikes one thing that no kernel reads:
// the bits of the inode bitmap behind the last inode are not set.
func TestConvertIsSound(t *testing.T) {
	if _, err := lookSbin("e2fsck"); err != nil {
		t.Skip("pending: e2fsck is not installed (package e2fsprogs)")
	}
	got := script(t, converted(t, tree(t)), `e2fsck -fn "$1" || true; debugfs -R 'ea_list /bin/ping' "$1"`)
	for line := range strings.Lines(got) {
		if strings.Contains(line, "?") && !strings.HasPrefix(line, "Padding at end of inode bitmap") {
			t.Errorf("e2fsck: %s", line)
		}
	}
	for _, want := range []string{"3019/3024 files", "security.capability (20) = 01 00 00 02"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
}

// TestConvertMounts mounts the file system as a guest does: read-only, below an
// overlay, and looks for what is easily lost.
func TestConvertMounts(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("pending: mounting needs root")
	}
	if err := exec.Command("unshare", "-m", "losetup", "-f").Run(); err != nil {
		t.Skip("pending: there is no free loop device, or no unshare")
	}
	got := script(t, converted(t, tree(t)), `
		d=$(dirname "$1"); cd "$d"; mkdir low up all
		mount -t ext4 -o loop,ro "$1" low
		mount -t tmpfs none up; mkdir up/u up/w
		mount -t overlay none -o lowerdir=low,upperdir=up/u,workdir=up/w all
		ls all | tr '\n' ' '; ls all/dev all/proc | wc -l
		stat -c '%a %g %h' all/bin/su; readlink all/bin/soft
		[ all/bin/su -ef all/bin/link ] && echo linked
		ls all/many | wc -l; wc -c < all/large; stat -c %Y all/large
		echo new > all/many/0001-x; rm all/large; rm -r all/bin; ls all | tr '\n' ' '
	`, "unshare", "-m")
	for _, want := range []string{"bin dev large lost+found many proc", "4755 42 2\n", "../../etc/passwd\n", "linked\n", "3000\n", "1048576\n1700000000\n", "dev lost+found many proc "} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
	for _, bad := range []string{"disk", "pipe"} {
		if strings.Contains(got, bad) {
			t.Errorf("%q in:\n%s", bad, got)
		}
	}
}

func TestConvertRefusesWhatIsNoTree(t *testing.T) {
	stream := tree(t)
	for name, bad := range map[string][]byte{
		"cut short": stream[:len(stream)/2],
		"no tar":    bytes.Repeat([]byte("tar?"), 1024),
	} {
		if err := convert(bytes.NewReader(bad), filepath.Join(t.TempDir(), "x")); err == nil {
			t.Errorf("%s: converted", name)
		}
	}
}

func FuzzConvert(f *testing.F) {
	f.Add(tree(f)[:8192])
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "x")
		if err := convert(bytes.NewReader(data), path); err != nil {
			return
		}
		if info, err := os.Stat(path); err != nil || info.Size() == 0 {
			t.Errorf("converted to nothing: %v", err)
		}
	})
}
