package image

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
)

// recipe is everything that shapes the default image. A change of any field makes
// another id, and set-up then builds anew.
type recipe struct {
	Suite    string   // of Debian
	Packages []string // beside Debian's essential ones, bash among them
	Exclude  []string // path globs that dpkg leaves out; "+" first: but keep these
	Hooks    []string // shell, "$1" is the root; run after the packages are set up
	Epoch    int64    // no file is newer, in seconds of Unix time: equal packages, unpacked in one mode, give equal images
	Config   Config
	Format   int // raised when the conversion to a file system changes

	Arch   string   `json:",omitempty"` // as GOARCH and Debian call it; "" : this machine's
	Before []string `json:",omitempty"` // hooks as Hooks, on an empty root
}

// platform is what the recipe's image is made for.
func (r recipe) platform() string { return guestOS + "/" + cmp.Or(r.Arch, runtime.GOARCH) }

// recipeFor is the default image's recipe for a platform.
func recipeFor(platform string) recipe {
	_, arch, _ := strings.Cut(platform, "/")
	if arch == runtime.GOARCH {
		return defaultRecipe
	}
	return defaultRecipe.foreign(arch)
}

// id names the recipe by its content.
func (r recipe) id() string {
	data, err := json.Marshal(r)
	if err != nil {
		panic(err) // strings and numbers only
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

// defaultRecipe is a small Debian in which an agent finds its first tools.
var defaultRecipe = recipe{
	Suite: "bookworm",
	Packages: []string{
		"python3", "python-is-python3", // `python` and `python3`
		"ca-certificates", "curl", // fetching by https
		"git",    // the first thing that most agents ask for in a workspace
		"procps", // ps, top, pkill: seeing and ending what one has started
		"less",   // git's pager, and a person's in a shell
	},
	Exclude: []string{
		"/usr/share/doc/*", "+/usr/share/doc/*/copyright", // licences must travel with the programs
		"/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/i18n/*",
	},
	Epoch: 1735689600, // 2025-01-01
	Hooks: []string{
		// What differs between two builds of the same packages.
		`rm -rf "$1"/var/log/* "$1"/var/cache/ldconfig/aux-cache "$1"/var/cache/debconf/*-old "$1"/var/lib/dpkg/*-old "$1"/etc/hostname "$1"/etc/resolv.conf && : > "$1"/etc/machine-id`,
		// Before the compilation, since a .pyc holds the time of its source: an
		// image that altered times afterwards would have every .pyc refused.
		`find "$1" \( -path "$1/proc" -o -path "$1/sys" -o -path "$1/dev" \) -prune -o -newermt "@$SOURCE_DATE_EPOCH" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +`,
		// By time and not by hash, which SOURCE_DATE_EPOCH would choose: a hash makes python read each source.
		`chroot "$1" python3 -m compileall -q -f --invalidation-mode timestamp /usr/lib/python3.11 /usr/lib/python3`,
	},
	Config: Config{
		Cmd: []string{"sleep", "infinity"}, // without a command an instance stays up for exec
		Env: map[string]string{"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
	},
	Format: 1,
}

// args is the mmdebstrap command line (mmdebstrap(1)) that writes the root as a tar
// stream to standard output. Without a mirror on it mmdebstrap takes Debian's own,
// with updates and security.
func (r recipe) args(mode string) []string {
	args := []string{"--mode=" + mode, "--format=tar", "--include=" + strings.Join(r.Packages, ",")}
	if r.Arch != "" {
		args = append(args, r.foreignArgs()...)
		return append(args, r.Suite, "-")
	}
	args = append(args, "--variant=minbase")
	for _, glob := range r.Exclude {
		option := "path-exclude="
		if keep, ok := strings.CutPrefix(glob, "+"); ok {
			glob, option = keep, "path-include="
		}
		args = append(args, "--dpkgopt="+option+glob)
	}
	for _, hook := range r.Hooks {
		args = append(args, "--customize-hook="+hook)
	}
	return append(args, r.Suite, "-")
}

// env is the environment of mmdebstrap: its own needs and nothing of the caller's
// that could change the result.
func (r recipe) env(getenv func(string) string, tmp string) []string {
	env := []string{"LC_ALL=C.UTF-8", "TMPDIR=" + tmp, fmt.Sprintf("SOURCE_DATE_EPOCH=%d", r.Epoch),
		"PATH=" + getenv("PATH") + ":/usr/sbin:/sbin"}
	for _, key := range []string{"HOME", "USER", "http_proxy", "https_proxy", "no_proxy"} {
		if value := getenv(key); value != "" {
			env = append(env, key+"="+value)
		}
	}
	return env
}
