package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"aegis/client"
)

// ImageTarget is the input of a route about one image. It is exported for the HTTP
// library, which fills no field of an unexported type.
type ImageTarget struct {
	Image    string `path:"image" doc:"a name, a digest, or the beginning of a digest, of at least 12 digits"`
	Platform string `query:"platform" maxLength:"60" doc:"like linux/amd64; empty: this machine's"`
}

// images registers the routes of images.
func (s *server) images() {
	answer(s, operation("list-images", http.MethodGet, "/images", "All images", http.StatusOK),
		func(ctx context.Context, _ *struct{}) ([]client.Image, error) { return array(s.Images.List(ctx)) })

	answer(s, operation("get-image", http.MethodGet, "/images/{image}", "One image", http.StatusOK),
		func(ctx context.Context, in *ImageTarget) (client.Image, error) {
			return s.Images.Info(ctx, in.Image, in.Platform)
		})

	act(s, operation("delete-image", http.MethodDelete, "/images/{image}", "Take a name away, and with the last one the image", http.StatusNoContent),
		func(ctx context.Context, in *ImageTarget) error { return s.Images.Delete(ctx, in.Image, in.Platform) })

	type pull struct{ Body client.PullImage }
	raw(s, operation("pull-image", http.MethodPost, "/pull", "Bring an image from its registry; progress as NDJSON, the image on the last line", http.StatusOK),
		func(w http.ResponseWriter, r *http.Request, in *pull) error {
			return s.progress(w, "pull-image", func(send func(client.Progress)) error {
				img, err := s.Images.Pull(r.Context(), in.Body, send)
				if err == nil {
					send(client.Progress{Step: imageStep, Image: &img})
				}
				return err
			})
		})

	type take struct {
		Name     string `query:"name" maxLength:"512" doc:"for the image; empty: as the archive has it"`
		Platform string `query:"platform" maxLength:"60" doc:"which of the archive's, or what a root is for; empty: this machine's"`
	}
	op := operation("import-image", http.MethodPost, "/images", "Make an image of an archive, the body; progress as NDJSON, the image on the last line", http.StatusOK)
	op.RequestBody = &huma.RequestBody{Content: map[string]*huma.MediaType{"application/octet-stream": {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}}
	raw(s, op, func(w http.ResponseWriter, r *http.Request, in *take) error {
		return s.progress(w, "import-image", func(send func(client.Progress)) error {
			img, err := s.Images.Import(r.Context(), client.ImportImage{Name: in.Name, Platform: in.Platform}, r.Body, send)
			if err == nil {
				send(client.Progress{Step: imageStep, Image: &img})
			}
			return err
		})
	})
}

// imageStep is the step of a pull's and an import's progress.
const imageStep = "image"
