package internal_test

import (
	"slices"
	"strings"
	"testing"
)

// floors is the order of the packages: each imports lower floors only, and none of
// its own. A package below one of these belongs to it and shares its floor; the two
// may import each other.
var floors = map[string]int{
	"internal/fault": 0, "internal/paths": 0, "internal/undo": 0, "internal/wire": 0, "internal/version": 0, "internal/tree": 0, "internal/durable": 0,

	"internal/instance": 1, "internal/vmm": 1, "client": 1,

	"internal/vmm/qemu": 2, "internal/vmm/firecracker": 2, "internal/vmm/krun": 2, "internal/vmm/all": 2,
	"internal/vmm/vmmtest": 2, "internal/vmm/fake": 2, "internal/accel": 2, "internal/confine": 2, "internal/cgroup": 2,
	"internal/guest": 2, "internal/workspace": 2, "internal/netstack": 2, "internal/image": 2,
	"internal/store": 2, "internal/secret": 2, "internal/router": 2, "internal/api": 2,
	"internal/config": 2, "internal/kernel": 2, "internal/logs": 2, "internal/egress": 2, "internal/resolve": 2, "internal/template": 2,

	"internal/shim": 3, "internal/engine": 3,
	"internal/daemon": 4, "internal/cli": 4,
	"cmd": 5,

	"internal/harness": guestOnly,
	"test":             6, // end-to-end tests: no package of the product
}

// guestOnly is the floor of what runs in the guest: it may import what guestMay
// names, and only its command may import it.
const guestOnly = 100

var guestMay = []string{"internal/fault", "internal/tree", "internal/undo", "internal/version", "internal/wire"}

// across are the imports within a floor, and why each is there.
var across = map[string]string{
	"internal/paths → internal/fault":             "fault is under everything",
	"internal/tree → internal/fault":              "fault is under everything",
	"internal/tree → internal/undo":               "undo is under everything that acquires",
	"internal/wire → internal/fault":              "fault is under everything",
	"internal/vmm/qemu → internal/confine":        "a monitor begins in a stage that confines it",
	"internal/vmm/firecracker → internal/confine": "as for qemu",
	"internal/vmm/krun → internal/confine":        "as for qemu",
	"internal/vmm/all → internal/vmm/qemu":        "all is the one place that names the backends",
	"internal/vmm/all → internal/accel":           "all gives a backend what the probe measured",
	"internal/vmm/all → internal/vmm/krun":        "as for qemu",
	"internal/vmm/all → internal/vmm/firecracker": "as for qemu",
}

// home is the entry of floors that a directory belongs to.
func home(dir string) string {
	for dir != "" {
		if _, ok := floors[dir]; ok {
			return dir
		}
		dir = dir[:max(0, strings.LastIndex(dir, "/"))]
	}
	return ""
}

// mayImport says why from must not import to, or nothing.
func mayImport(from, to string) string {
	a, b := home(from), home(to)
	switch {
	case a == "" || b == "":
		return "a package is not in the table of floors"
	case a == b:
		return ""
	case floors[b] == guestOnly:
		if from == "cmd/aegis-harness" {
			return ""
		}
		return "the harness runs in the guest; only its command imports it"
	case floors[a] == guestOnly:
		if slices.Contains(guestMay, b) {
			return ""
		}
		return "the harness may import " + strings.Join(guestMay, ", ") + " and nothing else of ours"
	case floors[a] > floors[b]:
		return ""
	case floors[a] == floors[b] && across[a+" → "+b] != "":
		return ""
	}
	return "it is not on a lower floor"
}

// TestFloors holds the table against every file of the product, and that each
// package is in the table. Tests may import what they like.
func TestFloors(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || s.dir == "internal" {
			continue
		}
		if home(s.dir) == "" {
			t.Errorf("%s: package %s is not in the table of floors", s.path, s.dir)
		}
		for _, to := range s.imports() {
			if why := mayImport(s.dir, to); why != "" {
				t.Errorf("%s imports %s: %s", s.path, to, why)
			}
		}
	}
}

// TestFloorsRefuse is the gate's own test: what it must let through and what not.
func TestFloorsRefuse(t *testing.T) {
	for _, c := range []struct {
		from, to string
		ok       bool
	}{
		{"internal/engine", "internal/store", true},
		{"internal/store", "internal/engine", false},
		{"internal/store", "internal/image", false},
		{"internal/shim", "internal/engine", false},
		{"internal/vmm/all", "internal/vmm/qemu", true},
		{"internal/vmm/qemu", "internal/vmm/all", false},
		{"internal/vmm/qemu", "internal/vmm", true},
		{"internal/vmm", "internal/vmm/qemu", false},
		{"internal/harness", "internal/wire", true},
		{"internal/harness", "internal/instance", false},
		{"internal/shim", "internal/harness", false},
		{"cmd/aegis-harness", "internal/harness", true},
		{"cmd/aegis", "internal/harness", false},
		{"internal/api/apitest", "internal/api", true},
		{"internal/api", "internal/nowhere", false},
		{"client", "internal/api", false},
	} {
		if why := mayImport(c.from, c.to); (why == "") != c.ok {
			t.Errorf("%s → %s: allowed %v, want %v (%s)", c.from, c.to, why == "", c.ok, why)
		}
	}
}
