package flatten

import (
	"runtime"
	"strings"

	"aegis/internal/fault"
)

// Platform is what an image is made for, in the words of Go and of OCI: linux, amd64.
type Platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant,omitempty"` // "" : any
}

// sameArch are other words for architectures.
var sameArch = map[string]string{"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armv8": "arm64"}

// ParsePlatform reads OS/ARCH or OS/ARCH/VARIANT; "" is this machine's. Guests are
// Linux, whatever the machine is. Anything else is a fault.Invalid.
func ParsePlatform(text string) (Platform, error) {
	if text == "" {
		return Platform{OS: "linux", Architecture: runtime.GOARCH}, nil
	}
	parts := strings.Split(strings.ToLower(text), "/")
	for _, part := range parts {
		if len(parts) < 2 || len(parts) > 3 || len(part) > 20 || strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789_.-") != "" || part == "" {
			return Platform{}, fault.New(fault.Invalid, "platform", "read the platform", "%.60q is not like linux/amd64", text)
		}
	}
	p := Platform{OS: parts[0], Architecture: parts[1]}
	if len(parts) == 3 {
		p.Variant = parts[2]
	}
	if arch := sameArch[p.Architecture]; arch != "" {
		p.Architecture = arch
	}
	if p.Architecture == "arm64" && p.Variant == "v8" {
		p.Variant = "" // all of it is v8
	}
	if p.OS != "linux" {
		return Platform{}, fault.New(fault.Invalid, "platform", "read the platform", "a guest runs Linux, and %.60q is something else", text)
	}
	return p, nil
}

// String writes it as ParsePlatform reads it.
func (p Platform) String() string {
	if p.Variant != "" {
		return p.OS + "/" + p.Architecture + "/" + p.Variant
	}
	return p.OS + "/" + p.Architecture
}

// Fits reports whether what is made for have runs where p is wanted.
func (p Platform) Fits(have Platform) bool {
	return p.OS == have.OS && p.Architecture == have.Architecture && (p.Variant == "" || p.Variant == have.Variant)
}

// Best is the index of what fits p best, the plain variant if any will do, or -1.
func (p Platform) Best(have []Platform) int {
	best := -1
	for i, h := range have {
		if p.Fits(h) && (best < 0 || have[best].Variant != p.Variant && h.Variant == p.Variant) {
			best = i
		}
	}
	return best
}

// Missing refuses an image that is not made for p.
func (p Platform) Missing(have []Platform) error {
	var names []string
	for _, h := range have {
		if h.OS != "" && h.OS != "unknown" { // attestations have no platform
			names = append(names, h.String())
		}
	}
	const most = 12
	if len(names) > most {
		names = append(names[:most], "…")
	}
	return fault.New(fault.ImageMissing, "", "", "it is not made for %s, but for %s", p, strings.Join(names, ", "))
}
