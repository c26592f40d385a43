package engine

import (
	"context"
	"slices"
	"strings"
	"testing"

	"aegis/client"
	"aegis/internal/fault"
	"aegis/internal/instance"
)

// tagged are assets with images: what names mean now, and which are there.
type tagged struct {
	fakeAssets
	names map[string]string
	cmd   []string
}

func (a *tagged) Files(_ context.Context, _ Backend, ref string) (Files, error) {
	if digest, ok := a.names[ref]; ok {
		ref = digest
	}
	for _, digest := range a.names {
		if digest == ref {
			return Files{Digest: digest, Cmd: a.cmd, BaseType: "ext4"}, nil
		}
	}
	return Files{}, fault.New(fault.ImageMissing, ref, "open image", "it is not there")
}

// TestImageStays holds that an instance keeps the image that it was made from, whatever
// its name means later, that it does not start over another one, and that the default's
// place may be taken.
func TestImageStays(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		assets := &tagged{names: map[string]string{"": "sha256:d", "app": "sha256:1"}, cmd: []string{"idle"}}
		w.Assets = assets
		w.started(client.Create{Name: "named", Image: "app"})
		if _, err := w.Create(t.Context(), client.Create{Name: "made", Image: "app"}); err != nil {
			t.Fatal(err)
		}
		w.started(client.Create{Name: "plain"})
		users, err := w.ImageUsers(t.Context())
		if err != nil || !slices.Equal(users["sha256:1"], []string{"made", "named"}) || !slices.Equal(users["sha256:d"], []string{"plain"}) {
			t.Errorf("%v, %v", users, err)
		}
		for _, name := range []string{"named", "plain"} {
			if err := w.Stop(t.Context(), name, 0); err != nil {
				t.Fatal(err)
			}
		}
		assets.names = map[string]string{"": "sha256:e", "app": "sha256:2", "old": "sha256:1"}
		digest := func(name string) string {
			if _, err := w.Start(t.Context(), name); err != nil {
				t.Fatal(err)
			}
			a, _ := w.find(t.Context(), name)
			return a.rec.Image
		}
		for name, want := range map[string]string{"named": "sha256:1", "made": "sha256:1", "plain": "sha256:e"} {
			if got := digest(name); got != want {
				t.Errorf("%s starts from %s, want %s", name, got, want)
			}
		}
		w.Stop(t.Context(), "named", 0)
		assets.names = map[string]string{"app": "sha256:2"}
		if _, err := w.Start(t.Context(), "named"); !fault.Is(err, fault.ImageMissing) {
			t.Errorf("over another image: %v", err)
		}
	})
}

// TestImageWithoutCommand holds that such an image needs one, before anything is made.
func TestImageWithoutCommand(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		w.Assets = &tagged{names: map[string]string{"bare": "sha256:b"}}
		_, err := w.Create(t.Context(), client.Create{Name: "x", Image: "bare"})
		if !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "none of its own") {
			t.Errorf("%v", err)
		}
		if _, err := w.Create(t.Context(), client.Create{Name: "x", Image: "bare", Command: []string{"ls"}}); err != nil {
			t.Error(err)
		}
	})
}

// TestWorkdir is where a process runs: in what was given, else where the image says.
func TestWorkdir(t *testing.T) {
	given, own := &instance.Workspace{Path: "/a"}, &instance.Workspace{Path: "/a", Temporary: true}
	for _, c := range []struct {
		spec  instance.Spec
		image string
		want  string
	}{
		{instance.Spec{}, "/srv", "/srv"}, {instance.Spec{}, "", ""}, {instance.Spec{Workspace: given}, "/srv", "/workspace"},
		{instance.Spec{Workspace: own}, "/srv", "/srv"}, {instance.Spec{Workspace: own}, "", "/workspace"}, {instance.Spec{Workspace: given, Workdir: "/x"}, "/srv", "/x"},
	} {
		if got := workdir(c.spec, Files{Workdir: c.image}); got != c.want {
			t.Errorf("%+v, the image's %q: %q, want %q", c.spec, c.image, got, c.want)
		}
	}
}

// TestForgetImage ends what waits for an instance of an image that goes, and no other.
func TestForgetImage(t *testing.T) {
	stocked(t, func(t *testing.T, w *world) {
		w.origin(client.Create{Name: "a"})
		w.pooled()
		w.ForgetImage("sha256:other")
		if ready, _ := w.Pool(); ready != 1 {
			t.Errorf("%d VMs wait after another image went", ready)
		}
		if err := w.Delete(t.Context(), "a", true); err != nil {
			t.Fatal(err)
		}
		w.ForgetImage("sha256:0")
		if ready, _ := w.Pool(); ready != 0 || len(w.ListTemplates()) != 0 {
			t.Errorf("%d VMs wait, and there is %v", ready, w.ListTemplates())
		}
	})
}
