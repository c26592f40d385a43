package image

import "slices"

// essential are the packages that Debian has on every system, as a pattern of apt
// (apt-patterns(7)): mmdebstrap does not unpack them by itself where it runs nothing.
const essential = "?or(?essential,?priority(required))"

// foreign is the recipe for another architecture (as GOARCH). Nothing of the image can
// be run while it is made, and so no package script: packages are unpacked, and what
// their scripts would have made and programs can't do without is made by hooks that run
// the host's own programs. dpkg in the guest takes all for installed.
func (r recipe) foreign(arch string) recipe {
	merged := "bin sbin lib"
	if arch == "amd64" {
		merged += " lib64"
	}
	r.Arch = arch
	r.Packages = append(slices.Clone(r.Packages), "apt", "usr-is-merged")
	r.Before = []string{`for d in ` + merged + `; do mkdir -p "$1/usr/$d" && ln -s "usr/$d" "$1/$d" || exit 1; done`}
	r.Hooks = []string{register, settle, choices, certificates, leaveOut, r.Hooks[0], r.Hooks[1], compile}
	return r
}

// foreignArgs are the arguments of mmdebstrap for another architecture.
func (r recipe) foreignArgs() []string {
	args := []string{"--variant=extract", "--architectures=" + r.Arch, "--include=" + essential}
	for _, hook := range r.Before {
		args = append(args, "--setup-hook="+hook)
	}
	for _, hook := range r.Hooks {
		args = append(args, "--extract-hook="+hook)
	}
	return args
}

// What package scripts would have made. "$1" is the root.
const (
	// register writes dpkg's database (dpkg(5), deb-control(5)) from the packages themselves.
	register = `set -e
db="$1/var/lib/dpkg"; mkdir -p "$db/info"; : > "$db/status"
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
for deb in "$1"/var/cache/apt/archives/*.deb; do
	dpkg-deb --control "$deb" "$work/c"
	name=$(sed -n 's/^Package: //p' "$work/c/control")
	if grep -q '^Multi-Arch: same' "$work/c/control"; then name="$name:$(sed -n 's/^Architecture: //p' "$work/c/control")"; fi
	sed '/^Package: /a Status: install ok installed' "$work/c/control" >> "$db/status"; echo >> "$db/status"
	rm "$work/c/control"
	for f in "$work"/c/*; do if [ -e "$f" ]; then mv "$f" "$db/info/$name.${f##*/}"; fi; done
	dpkg-deb --fsys-tarfile "$deb" | tar --list | sed 's,^\.,,; s,/$,,; s,^$,/.,' > "$db/info/$name.list"
	rm -r "$work/c"
done`

	// settle copies what base-passwd, base-files and libc-bin have ready to be copied.
	settle = `set -e
share="$1/usr/share"
cp "$share/base-passwd/passwd.master" "$1/etc/passwd"
cp "$share/base-passwd/group.master" "$1/etc/group"
cp "$share/base-files/profile" "$1/etc/profile"
cp "$share/base-files/dot.profile" "$1/root/.profile"
cp "$share/base-files/dot.bashrc" "$1/root/.bashrc"
cp "$share/libc-bin/nsswitch.conf" "$1/etc/nsswitch.conf"
mkdir -p "$1/usr/local/bin" "$1/usr/local/sbin" "$1/usr/local/lib" "$1/usr/local/share"
for part in auth account password session session-noninteractive; do
	echo "${part%-*} required pam_unix.so" > "$1/etc/pam.d/common-$part"
done`

	// choices are the alternatives that packages offer (update-alternatives(1)).
	choices = `set -e
for choice in awk:mawk nawk:mawk pager:less which:which.debianutils; do
	update-alternatives --root "$1" --quiet --install "/usr/bin/${choice%:*}" "${choice%:*}" "/usr/bin/${choice#*:}" 10
done`

	// certificates is update-ca-certificates(8) for the file that programs read.
	certificates = `set -e
cd "$1/usr/share/ca-certificates"
find . -name '*.crt' | sed 's,^\./,,' | LC_ALL=C sort > "$1/etc/ca-certificates.conf"
mkdir -p "$1/etc/ssl/certs"
while read -r name; do cat "$name"; done < "$1/etc/ca-certificates.conf" > "$1/etc/ssl/certs/ca-certificates.crt"`

	// leaveOut removes what dpkg would have left out, by Exclude.
	leaveOut = `set -e
cd "$1/usr/share"
rm -rf man info locale i18n
find doc ! -type d ! -name copyright -delete`

	// compile needs a host with Debian's Python: what it makes is the same on every
	// architecture. Without it programs start slower.
	compile = `set -e
if command -v python3.11 > /dev/null; then
	python3.11 -I -m compileall -q -f --invalidation-mode timestamp -s "$1" -p / "$1/usr/lib/python3.11" "$1/usr/lib/python3"
fi`
)
