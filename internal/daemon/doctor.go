package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"

	"aegis/client"
	"aegis/internal/accel"
	"aegis/internal/cgroup"
	"aegis/internal/config"
	"aegis/internal/engine"
	"aegis/internal/fault"
	"aegis/internal/image"
	"aegis/internal/kernel"
	"aegis/internal/paths"
	"aegis/internal/vmm/all"

	"golang.org/x/sys/unix"
)

// The three results of a check.
const (
	ok   = "ok"
	warn = "warn"
	fail = "fail"
)

// doctorMain prints every check as JSON. It needs no daemon and changes nothing.
func doctorMain(out io.Writer) int {
	checks := examine(os.Getenv)
	if err := json.NewEncoder(out).Encode(checks); err != nil {
		return 1
	}
	for _, c := range checks {
		if c.Status == fail {
			return 1
		}
	}
	return 0
}

// examine looks at all that a start needs.
func examine(getenv func(string) string) []client.Check {
	home, err := paths.Locate(getenv)
	if err != nil {
		return []client.Check{{Name: "home", Status: fail, Detail: fault.As(err).Why, Fix: "export AEGIS_HOME=/a/short/path"}}
	}
	cfg, err := config.Load(home, getenv)
	if err != nil {
		return []client.Check{{Name: "configuration", Status: fail, Detail: fault.As(err).Why, Fix: "${EDITOR:-vi} " + home.Config()}}
	}
	a := newAssets(home, cfg, newLog(io.Discard))
	checks := []client.Check{checkHome(home), checkAccelerator()}
	checks = append(checks, checkBackends(a, cfg)...)
	return append(checks, checkConfinement(cfg.Confinement, a.found), checkLimits(cgroup.Look(home.Dir)), checkPrograms(), checkKernel(home), checkImage(home, cfg), checkDisk(home), checkDescriptors())
}

// note is a finding that is fine, or the reason why not with what mends it.
func note(name, detail string, err error, bad, fix string) client.Check {
	if err == nil {
		return client.Check{Name: name, Status: ok, Detail: detail}
	}
	return client.Check{Name: name, Status: bad, Detail: fault.As(err).Error(), Fix: fix}
}

func checkHome(home paths.Home) client.Check {
	err := home.Prepare()
	return note("home", home.Dir+", sockets as "+home.Socket(), err, fail, "sudo chown -R $(id -un) "+home.Dir)
}

func checkAccelerator() client.Check {
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	r := accel.Measure(ctx)
	if r.Usable {
		return client.Check{Name: "accelerator", Status: ok, Detail: r.Device + ": " + r.Reason}
	}
	detail := "no hardware virtualization, so guests are emulated and slower: " + r.Reason
	return client.Check{Name: "accelerator", Status: warn, Detail: detail,
		Fix: "run on a host whose KVM works, or go on: it works without"}
}

func checkBackends(a *assets, cfg config.Config) []client.Check {
	c := a.choice()
	var checks []client.Check
	for _, v := range c.verdicts {
		checks = append(checks, checkBackend(v, cfg.Backend, c.kvm, remarkOn(v, c.kvm)))
	}
	if c.err != nil {
		checks = append(checks, client.Check{Name: "backend", Status: fail, Detail: fault.As(c.err).Why, Fix: all.Install(runtime.GOARCH)})
	}
	return checks
}

// checkBackend judges one backend. QEMU runs everywhere, so that its absence is a
// warning; the others' is none, unless they are wanted. kvm is whether that is usable.
func checkBackend(v all.Verdict, wanted string, kvm bool, r remark) client.Check {
	check := client.Check{Name: "backend " + v.Name, Status: ok, Detail: v.Reason, Fix: mend(v, wanted, kvm)}
	switch {
	case v.Usable:
		check.Detail = or(v.Build, v.Name) + ": " + v.Reason
		if r.text != "" {
			check.Status, check.Detail, check.Fix = r.status, check.Detail+"; "+r.text, r.fix
		}
		return check
	case wanted == v.Name:
		check.Status = fail
	case v.Name == qemu:
		check.Status = warn
	}
	check.Detail = "not used: " + v.Reason
	return check
}

// remark is what another build of a usable backend would be better at; the zero value is
// none.
type remark struct{ status, text, fix string }

func remarkOn(v all.Verdict, kvm bool) remark {
	if !v.Usable {
		return remark{}
	}
	switch v.Name {
	case firecracker:
		return filters()
	case qemu:
		if !kvm { // with which it translates nothing
			return age()
		}
	}
	return remark{}
}

// age looks whether a newer QEMU would be quicker.
func age() remark {
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	if old, err := all.Retranslates(ctx, runtime.GOARCH); !old || err != nil {
		return remark{}
	}
	r := remark{status: ok, text: "from QEMU 9 on a program starts in a third of the time without KVM"}
	if release, _ := os.ReadFile("/etc/os-release"); bytes.Contains(release, []byte("VERSION_CODENAME=bookworm\n")) {
		r.fix = strings.Replace(all.Install(runtime.GOARCH), "install", "install -t bookworm-backports", 1)
	}
	return r
}

// The backends, as they name themselves.
const (
	qemu        = "qemu"
	firecracker = "firecracker"
	libkrun     = "libkrun"
)

// installFirecracker puts the program of a release, unpacked, on PATH. Debian has none.
const installFirecracker = "sudo install release-v1.16.1-x86_64/firecracker-v1.16.1-x86_64 /usr/local/bin/firecracker"

// mend is the command that makes a backend usable, or does without it where it is wanted
// and can't be had; "" where nothing need be done, or nothing can.
func mend(v all.Verdict, wanted string, kvm bool) string {
	switch {
	case v.Usable:
		return ""
	case v.Name != firecracker && v.Name != libkrun:
		return all.Install(runtime.GOARCH)
	case v.Name == libkrun && wanted == v.Name && runtime.GOOS == "darwin":
		return "brew tap slp/krun && brew install libkrun libkrunfw"
	case v.Name == libkrun && wanted == v.Name && kvm:
		return "sudo dnf install libkrun libkrunfw"
	case v.Name == firecracker && kvm && runtime.GOOS+"/"+runtime.GOARCH == "linux/amd64":
		return installFirecracker
	case wanted == v.Name:
		return "export AEGIS_BACKEND=qemu"
	}
	return ""
}

// filters says what is wrong with Firecracker's own filters of system calls.
func filters() remark {
	switch unfiltered, err := all.Unfiltered(); {
	case err != nil:
		return remark{warn, "whether it filters its system calls is not known: " + err.Error(), installFirecracker}
	case unfiltered:
		return remark{warn, "this build has no filter of system calls of its own, only Aegis's", installFirecracker}
	}
	return remark{}
}

func checkPrograms() client.Check {
	var missing []string
	for _, name := range []string{"aegis-shim", "aegis-harness"} {
		if _, err := companion(name); err != nil {
			missing = append(missing, fault.As(err).Why)
		}
	}
	if len(missing) > 0 {
		return client.Check{Name: "programs", Status: fail, Detail: strings.Join(missing, "; "), Fix: "make build, or make install"}
	}
	return client.Check{Name: "programs", Status: ok, Detail: "aegis-shim and aegis-harness are beside aegisd"}
}

func checkKernel(home paths.Home) client.Check {
	k, err := kernel.Open(home.Kernels(), runtime.GOARCH)
	if err == nil {
		err = k.Verify()
	}
	return note("kernel", "Linux "+k.Version, err, fail, setUpWith("apt-get", "apt"))
}

func checkImage(home paths.Home, cfg config.Config) client.Check {
	img, err := image.Open(home.Images(), cfg.Image, "")
	if err == nil {
		err = image.Verify(context.Background(), img)
	}
	return note("default image", config.HumanSize(img.Size)+", "+img.Digest, err, fail, setUpWith("mmdebstrap", "mmdebstrap"))
}

// setUpWith is the command that makes an asset, behind the one that installs the
// program which set-up makes it with.
func setUpWith(program, pack string) string {
	if _, err := exec.LookPath(program); err != nil {
		return "sudo apt-get install " + pack + " && aegis setup"
	}
	return "aegis setup"
}

// diskWanted is the free space below which doctor warns: the default image, made
// anew, and some instances. Bytes.
const diskWanted = 2 << 30

func checkDisk(home paths.Home) client.Check {
	var st unix.Statfs_t
	if err := unix.Statfs(home.Dir, &st); err != nil {
		return note("disk", "", err, fail, "ls -ld "+home.Dir)
	}
	free := int64(st.Bavail) * int64(st.Bsize)
	check := client.Check{Name: "disk", Status: ok, Detail: config.HumanSize(free) + " free below " + home.Dir}
	if free < diskWanted {
		check.Status, check.Fix = warn, "aegis instance list, then aegis instance delete what you do not need"
	}
	if free < engine.Reserve {
		check.Status = fail
		check.Detail += ", and a start needs " + config.HumanSize(engine.Reserve)
	}
	return check
}

// descriptorsWanted is enough for a thousand routed connections at two each.
const descriptorsWanted = 4096

func checkDescriptors() client.Check {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return note("descriptors", "", err, warn, "ulimit -n 65536")
	}
	detail := fmt.Sprintf("at most %d open files", limit.Max)
	if limit.Max < descriptorsWanted {
		return client.Check{Name: "descriptors", Status: warn, Detail: detail, Fix: "ulimit -n 65536"}
	}
	return client.Check{Name: "descriptors", Status: ok, Detail: detail}
}
