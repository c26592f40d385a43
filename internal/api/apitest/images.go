package apitest

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"aegis/client"
	"aegis/internal/fault"
)

type images Fake

// digest is one of 64 equal digits.
func digest(digit string) string { return "sha256:" + strings.Repeat(digit, 64) }

// defaultImage is what every fake has.
func defaultImage() client.Image {
	return client.Image{Digest: digest("d"), Names: []string{"default"}, Platform: "linux/amd64", Size: pruneable, Default: true, UsedBy: []string{}, CreatedAt: Epoch,
		Config: client.ImageConfig{Entrypoint: []string{}, Cmd: []string{"sleep", "infinity"}, Env: map[string]string{"LANG": "C.UTF-8"}, Expose: []string{}}}
}

// all lists the images with those who use them; f is locked.
func (s *images) all() []client.Image {
	f := (*Fake)(s)
	out := append([]client.Image{defaultImage()}, f.images...)
	for i := range out {
		out[i].UsedBy = []string{}
		for _, in := range f.list {
			if slices.Contains(out[i].Names, in.Image) {
				out[i].UsedBy = append(out[i].UsedBy, in.Name)
			}
		}
	}
	return out
}

func (s *images) List(context.Context) ([]client.Image, error) {
	f := (*Fake)(s)
	if err := f.enter("Images", ""); err != nil {
		return nil, err
	}
	defer f.mu.Unlock()
	return s.all(), nil
}

func (s *images) find(ref string) (client.Image, error) {
	for _, img := range s.all() {
		if img.Digest == ref || slices.Contains(img.Names, ref) {
			return img, nil
		}
	}
	return client.Image{}, fault.New(fault.ImageMissing, ref, fmt.Sprintf("open image %q", ref), "there is no image of this name here")
}

func (s *images) Info(_ context.Context, ref, platform string) (client.Image, error) {
	f := (*Fake)(s)
	if err := f.enter("Image", strings.TrimSpace(ref+" "+platform)); err != nil {
		return client.Image{}, err
	}
	defer f.mu.Unlock()
	return s.find(ref)
}

func (s *images) Delete(_ context.Context, ref, platform string) error {
	f := (*Fake)(s)
	if err := f.enter("DeleteImage", strings.TrimSpace(ref+" "+platform)); err != nil {
		return err
	}
	defer f.mu.Unlock()
	img, err := s.find(ref)
	if err != nil {
		return err
	}
	if len(img.UsedBy) > 0 || img.Default {
		return fault.New(fault.ImageInUse, ref, fmt.Sprintf("delete image %q", ref), "%s", strings.Join(append(img.UsedBy, "needs it"), " "))
	}
	f.images = slices.DeleteFunc(f.images, func(i client.Image) bool { return i.Digest == img.Digest })
	return nil
}

// add makes an image with that name; f is locked.
func (s *images) add(name, platform string) client.Image {
	f := (*Fake)(s)
	if platform == "" {
		platform = "linux/amd64"
	}
	img := client.Image{Digest: digest(fmt.Sprint(len(f.images) + 1)), Names: []string{}, Platform: platform, Size: 3 << 20, UsedBy: []string{}, CreatedAt: Epoch,
		Config: client.ImageConfig{Entrypoint: []string{"/app"}, Cmd: []string{"serve"}, Env: map[string]string{"A": "1"}, User: "app", Workdir: "/srv", Expose: []string{"80/tcp"}}}
	if name != "" {
		img.Names = []string{name}
	}
	f.images = append(f.images, img)
	return img
}

func (s *images) Pull(_ context.Context, in client.PullImage, progress func(client.Progress)) (client.Image, error) {
	f := (*Fake)(s)
	if err := f.enter("Pull", strings.Join([]string{in.Image, in.Platform, in.When}, " ")); err != nil {
		return client.Image{}, err
	}
	defer f.mu.Unlock()
	if img, err := s.find(in.Image); err == nil && in.When != "always" || in.When == "never" {
		return img, err
	}
	if in.Image == "" {
		return defaultImage(), nil
	}
	progress(client.Progress{Step: "image", Message: "fetching", Done: 1, Total: 4})
	progress(client.Progress{Step: "image", Message: "fetching", Done: 4, Total: 4})
	progress(client.Progress{Step: "image", Message: "converting"})
	return s.add(in.Image, in.Platform), nil
}

func (s *images) Import(_ context.Context, in client.ImportImage, archive io.Reader, progress func(client.Progress)) (client.Image, error) {
	f := (*Fake)(s)
	n, err := io.Copy(io.Discard, archive)
	if err != nil {
		return client.Image{}, err
	}
	what := "nothing"
	if n > 0 {
		what = "something"
	}
	if err := f.enter("Import", strings.Join([]string{in.Name, in.Platform, what}, " ")); err != nil {
		return client.Image{}, err
	}
	defer f.mu.Unlock()
	progress(client.Progress{Step: "image", Message: "converting"})
	return s.add(in.Name, in.Platform), nil
}
