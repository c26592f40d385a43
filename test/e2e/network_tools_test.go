package e2e

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestNetworkTools runs the package managers that people use, as they are, against
// servers of the test, which a name server of the test names.
func TestNetworkTools(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	w := h.online(asRoot)
	if err := os.MkdirAll(filepath.Join(h.cwd, "app"), 0o755); err != nil {
		t.Fatal(err)
	}
	h.ok("instance", "start", "--name", "tools", "--pause-after", "never", "--workspace", "./app", "-m", "1G", "--cpus", "2",
		"-e", "PIP_INDEX_URL=http://pip.test/simple/", "-e", "PIP_TRUSTED_HOST=pip.test", "-e", "npm_config_registry=http://npm.test/")
	t.Run("curl", func(t *testing.T) {
		h.write(w.files("file.txt"), "by curl\n")
		if got := h.in(t).sh("tools", "curl -fsSLO http://web.test/file.txt && cat file.txt"); got != "by curl\n" {
			t.Errorf("%q", got)
		}
	})
	t.Run("apt-get", func(t *testing.T) { aptGet(t, h.in(t), w) })
	t.Run("both", func(t *testing.T) { // each takes half a minute of a processor
		t.Run("pip", func(t *testing.T) { t.Parallel(); pip(t, h.in(t), w) })
		t.Run("npm", func(t *testing.T) { t.Parallel(); npm(t, h.in(t), w) })
	})
	h.ok("instance", "delete", "--force", "tools")
}

// aptGet installs a package from a flat repository (sources.list(5)).
func aptGet(t *testing.T, h *home, w world) {
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("pending: " + err.Error())
	}
	control := "Package: aegis-tiny\nVersion: 1.0\nArchitecture: all\nMaintainer: A Test <test@test.invalid>\nDescription: says hello\n"
	root := filepath.Join(t.TempDir(), "tiny")
	h.write(filepath.Join(root, "DEBIAN/control"), control)
	h.write(filepath.Join(root, "usr/share/tiny/hello"), "by apt-get\n")
	if err := os.MkdirAll(w.files("apt"), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("dpkg-deb", "--root-owner-group", "--build", root, w.files("apt", "tiny.deb")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	deb, err := os.ReadFile(w.files("apt", "tiny.deb"))
	if err != nil {
		t.Fatal(err)
	}
	h.write(w.files("apt", "Packages"), fmt.Sprintf("%sFilename: ./tiny.deb\nSize: %d\nSHA256: %x\n", control, len(deb), sha256.Sum256(deb)))
	got := h.sh("tools", `rm -f /etc/apt/sources.list.d/* && echo 'deb [trusted=yes] http://apt.test/apt ./' > /etc/apt/sources.list
(apt-get -q update && apt-get -qy install aegis-tiny) 2>&1; cat /usr/share/tiny/hello`)
	if !strings.HasSuffix(got, "by apt-get\n") {
		t.Error(got)
	}
}

// pip installs a wheel from a simple index (PEP 503). The default image has no pip:
// this one is a wheel that Python itself carries.
func pip(t *testing.T, h *home, w world) {
	out, err := exec.Command("python3", "-c", "import ensurepip, os; print(os.path.join(os.path.dirname(ensurepip.__file__), '_bundled'))").Output()
	found, _ := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "pip-*.whl"))
	if err != nil || len(found) == 0 {
		t.Skip("pending: the host's Python brings no pip")
	}
	wheel, into := found[len(found)-1], filepath.Join(h.cwd, "app/pip")
	for _, args := range [][]string{{"zipfile", "-e", wheel, into}, {"compileall", "-q", "--invalidation-mode", "unchecked-hash", into}} {
		if out, err := exec.Command("python3", append([]string{"-m"}, args...)...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	h.write(w.files("simple/tiny/index.html"), `<a href="/tiny-1.0-py3-none-any.whl">tiny</a>`)
	h.write(w.files("tiny-1.0-py3-none-any.whl"), zipped(t, map[string]string{
		"tiny.py":                     "print('by pip')\n",
		"tiny-1.0.dist-info/WHEEL":    "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
		"tiny-1.0.dist-info/RECORD":   "tiny.py,,\ntiny-1.0.dist-info/WHEEL,,\ntiny-1.0.dist-info/METADATA,,\ntiny-1.0.dist-info/RECORD,,\n",
		"tiny-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
	}))
	got := h.sh("tools", "PYTHONPATH=/workspace/pip python3 -m pip install --no-cache-dir --no-compile --target /tmp/pip tiny 2>&1; PYTHONPATH=/tmp/pip python3 -m tiny")
	if !strings.HasSuffix(got, "by pip\n") {
		t.Error(got)
	}
}

func zipped(t *testing.T, files map[string]string) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range files {
		f, err := z.Create(name)
		if err == nil {
			_, err = f.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// npm installs a package from a registry. The default image has no Node.js: the
// host's goes along in the workspace.
func npm(t *testing.T, h *home, w world) {
	node, err := exec.LookPath("node")
	if err == nil {
		node, err = filepath.EvalSymlinks(node)
	}
	if err != nil {
		t.Skip("pending: the host has no Node.js: " + err.Error())
	}
	modules := filepath.Join(filepath.Dir(filepath.Dir(node)), "lib/node_modules/npm")
	if _, err := os.Stat(filepath.Join(modules, "bin/npm-cli.js")); err != nil {
		t.Skip("pending: the host's npm is not beside its Node.js")
	}
	if out, err := exec.Command("cp", "-r", node, modules, filepath.Join(h.cwd, "app")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	pack := tarred(t, map[string]string{
		"package/package.json": `{"name": "tiny", "version": "1.0.0", "main": "index.js"}`,
		"package/index.js":     "console.log('by npm')\n",
	})
	sum := sha512.Sum512([]byte(pack))
	h.write(w.files("tiny.tgz"), pack)
	h.write(w.files("tiny"), fmt.Sprintf(`{"name": "tiny", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": {"name": "tiny", "version": "1.0.0",
		"dist": {"tarball": "http://npm.test/tiny.tgz", "integrity": "sha512-%s"}}}}`, base64.StdEncoding.EncodeToString(sum[:])))
	got := h.sh("tools", "mkdir /tmp/npm && cd /tmp/npm && /workspace/node /workspace/npm/bin/npm-cli.js install --no-audit --no-fund tiny 2>&1; /workspace/node -e 'require(\"tiny\")'")
	if !strings.HasSuffix(got, "by npm\n") {
		t.Error(got)
	}
}

func tarred(t *testing.T, files map[string]string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	a := tar.NewWriter(z)
	for name, text := range files {
		err := a.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))})
		if err == nil {
			_, err = a.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	a.Close()
	z.Close()
	return b.String()
}
