package instance

import (
	"runtime"
	"testing"

	"aegis/internal/fault"
)

func TestParsePlatform(t *testing.T) {
	for text, want := range map[string]string{
		"": Host, "linux/amd64": "linux/amd64", "linux/arm64": "linux/arm64", "Linux/ARM64": "linux/arm64",
		"arm64": "linux/arm64", "linux/arm64/v8": "linux/arm64", "aarch64": "linux/arm64", "linux/x86_64": "linux/amd64",
	} {
		if got, err := ParsePlatform(text); got != want || err != nil {
			t.Errorf("ParsePlatform(%q) = %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"linux", "linux/", "windows/amd64", "linux/arm/v7", "linux/s390x", "darwin/arm64", "linux/linux/arm64"} {
		if got, err := ParsePlatform(text); !fault.Is(err, fault.Invalid) {
			t.Errorf("ParsePlatform(%q) = %q, %v", text, got, err)
		}
	}
	if Arch("") != runtime.GOARCH || Arch(Host) != runtime.GOARCH || Arch("linux/arm64") != "arm64" {
		t.Error("Arch gives another architecture")
	}
}
