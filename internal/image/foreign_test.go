package image

import (
	"runtime"
	"slices"
	"strings"
	"testing"

	"aegis/internal/fault"
)

// otherArch is an architecture that this machine is not of.
var otherArch = map[string]string{"amd64": "arm64", "arm64": "amd64"}[runtime.GOARCH]

// TestDefaultImagesOfTwoPlatforms lie beside each other, and each is found by its own.
func TestDefaultImagesOfTwoPlatforms(t *testing.T) {
	h := newHome(t)
	own := h.must(t, writes("own"))
	platform := guestOS + "/" + otherArch
	_, err := Open(h.dir, "", platform)
	wantKind(t, err, fault.AssetMissing)
	if err == nil || !strings.Contains(err.Error(), platform) {
		t.Errorf("it does not say for what: %v", err)
	}
	other, err := ensure(t.Context(), h.dir, h.stage, 0, nil, recipeFor(platform), writes("other"))
	if err != nil {
		t.Fatal(err)
	}
	for want, img := range map[string]Image{native: own, platform: other} {
		if got, err := Open(h.dir, "", want); err != nil || got.Digest != img.Digest || got.Platform != want {
			t.Errorf("for %s there is %+v, %v", want, got, err)
		}
	}
	if got := Unused(h.dir, nil); len(got) != 0 {
		t.Errorf("both are needed, and these are not: %q", got)
	}
	if again := h.must(t, writes("built a second time")); again.Digest != own.Digest {
		t.Error("the other's hides this machine's")
	}
}

// TestForeignRecipe runs no program of the image, and leaves this machine's as it was.
func TestForeignRecipe(t *testing.T) {
	if recipeFor(native).id() != defaultRecipe.id() || defaultRecipe.Arch != "" {
		t.Error("this machine's recipe is another one")
	}
	r := recipeFor(guestOS + "/" + otherArch)
	args := r.args("root")
	for _, want := range []string{"--variant=extract", "--architectures=" + otherArch, "--include=" + essential} {
		if !slices.Contains(args, want) {
			t.Errorf("%s is missing in %q", want, args)
		}
	}
	for _, arg := range args {
		if strings.Contains(arg, "chroot") || strings.HasPrefix(arg, "--customize-hook") {
			t.Errorf("a program of the image is run: %s", arg)
		}
	}
	if r.id() == defaultRecipe.id() {
		t.Error("both recipes have one id")
	}
}
