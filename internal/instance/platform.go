package instance

import (
	"runtime"
	"strings"

	"aegis/internal/fault"
)

// guestOS is what every guest runs.
const guestOS = "linux"

// Host is the platform of guests that are of the host's architecture.
const Host = guestOS + "/" + runtime.GOARCH

// Platforms are all that guests may have.
var Platforms = []string{Platform("amd64"), Platform("arm64")}

// Platform is that of an architecture, as GOARCH.
func Platform(arch string) string { return guestOS + "/" + arch }

// ParsePlatform reads a platform of guests as docker does, linux/arm64 or arm64, with
// the other names that these have, and gives it as linux/amd64 or linux/arm64. "" is the
// host's. Anything else is a fault.Invalid.
func ParsePlatform(text string) (string, error) {
	if text == "" {
		return Host, nil
	}
	arch := strings.TrimPrefix(strings.ToLower(text), guestOS+"/")
	switch arch {
	case "amd64", "x86_64", "x86-64":
		return Platform("amd64"), nil
	case "arm64", "arm64/v8", "aarch64":
		return Platform("arm64"), nil
	}
	return "", fault.New(fault.Invalid, "platform", "read --platform", "%.40q is not linux/amd64 or linux/arm64", text)
}

// Arch is the architecture of a platform that ParsePlatform gave, as GOARCH; of "" the
// host's.
func Arch(platform string) string {
	if platform == "" {
		return runtime.GOARCH
	}
	return strings.TrimPrefix(platform, guestOS+"/")
}
