package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"aegis/internal/fault"
)

// Image is a root file system that instances are made from.
type Image struct {
	Digest    string      `json:"digest" doc:"sha256: and 64 hexadecimal digits; of its manifest, or, where it came without one, of its config"`
	Names     []string    `json:"names" doc:"that lead to it for its platform; none when they lead to newer ones now"`
	Platform  string      `json:"platform" doc:"like linux/amd64"`
	Size      int64       `json:"size" doc:"bytes of its file system"`
	Default   bool        `json:"default" doc:"it is what instances get that name no image"`
	UsedBy    []string    `json:"used_by" doc:"names of the instances that were made from it"`
	CreatedAt time.Time   `json:"created_at" doc:"when it was made here"`
	Config    ImageConfig `json:"config"`
}

// ImageConfig is what an image says of the process to run in it.
type ImageConfig struct {
	Entrypoint []string          `json:"entrypoint"`
	Cmd        []string          `json:"cmd"`
	Env        map[string]string `json:"env"`
	User       string            `json:"user"`
	Workdir    string            `json:"workdir"`
	Expose     []string          `json:"expose" doc:"like 80/tcp; information only"`
}

// PullImage asks for an image of a registry.
type PullImage struct {
	Image    string `json:"image,omitempty" maxLength:"512" doc:"a reference, like alpine:3; empty: the configured image"`
	Platform string `json:"platform,omitempty" maxLength:"60" doc:"like linux/amd64; empty: this machine's"`
	When     string `json:"when,omitempty" enum:",always,missing,never" doc:"always asks the registry, also for what is here; missing, the default, only for what is not"`
}

// ImportImage says what an archive is to be.
type ImportImage struct {
	Name     string // empty: as the archive has it
	Platform string // which of the archive's, or what a root is for; empty: this machine's
}

const images = "images"

// Images lists all images, the default one first.
func (c *Client) Images(ctx context.Context) ([]Image, error) {
	out := []Image{}
	err := c.call(ctx, "list images", http.MethodGet, "/"+images, nil, &out)
	return out, err
}

// Image describes one, by a name, a digest, or the beginning of a digest, of at least
// 12 digits. The platform, "" for this machine's, is for names.
func (c *Client) Image(ctx context.Context, ref, platform string) (Image, error) {
	var out Image
	err := c.call(ctx, fmt.Sprintf("look at image %q", ref), http.MethodGet, at(images, ref, "")+forPlatform(platform), nil, &out)
	return out, err
}

// DeleteImage takes a name away, and with the last one the image. By a digest it goes
// with all its names. One that an instance was made from stays, and so does the default.
func (c *Client) DeleteImage(ctx context.Context, ref, platform string) error {
	return c.call(ctx, fmt.Sprintf("delete image %q", ref), http.MethodDelete, at(images, ref, "")+forPlatform(platform), nil, nil)
}

func forPlatform(platform string) string {
	if platform == "" {
		return ""
	}
	return "?" + url.Values{"platform": {platform}}.Encode()
}

// PullImage brings an image from its registry, or finds that it is there. progress is
// called from one goroutine, before PullImage returns.
func (c *Client) PullImage(ctx context.Context, in PullImage, progress func(Progress)) (Image, error) {
	what := fmt.Sprintf("pull image %q", in.Image)
	body, header, err := encode(what, in)
	if err != nil {
		return Image{}, err
	}
	resp, err := c.request(ctx, what, http.MethodPost, "/pull", body, header)
	if err != nil {
		return Image{}, err
	}
	return c.imageOf(ctx, what, resp, progress)
}

// ImportImage makes an image of an archive: docker's, OCI's, an OCI layout as a tar
// stream, or a root's files as a tar stream; compressed or not. progress is called as
// for PullImage, once all of it was read.
func (c *Client) ImportImage(ctx context.Context, in ImportImage, archive io.Reader, progress func(Progress)) (Image, error) {
	what := "import an image"
	if in.Name != "" {
		what = fmt.Sprintf("import image %q", in.Name)
	}
	query := url.Values{}
	for key, value := range map[string]string{"name": in.Name, "platform": in.Platform} {
		if value != "" {
			query.Set(key, value)
		}
	}
	source := &noting{r: archive}
	path := "/" + images + "?" + query.Encode()
	resp, err := c.request(ctx, what, http.MethodPost, path, source, http.Header{"Content-Type": {"application/octet-stream"}})
	if source.err != nil && !fault.Is(err, fault.Cancelled) {
		if err == nil {
			resp.Body.Close()
		}
		return Image{}, problem(fault.File, in.Name, what, source.err.Error(), source.err)
	}
	if err != nil {
		return Image{}, err
	}
	return c.imageOf(ctx, what, resp, progress)
}

// noting remembers why a reader failed.
type noting struct {
	r   io.Reader
	err error
}

func (n *noting) Read(p []byte) (int, error) {
	k, err := n.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		n.err = err
	}
	return k, err
}

// imageOf reads the stream of a pull or an import to its last line, which has the image.
func (c *Client) imageOf(ctx context.Context, what string, resp *http.Response, progress func(Progress)) (Image, error) {
	defer resp.Body.Close()
	lines := json.NewDecoder(bufio.NewReader(resp.Body))
	for {
		var p Progress
		err := lines.Decode(&p)
		switch {
		case err != nil:
			return Image{}, c.broken(ctx, what, err)
		case p.Error != nil && p.Error.Code != "":
			return Image{}, &Error{Problem: *p.Error}
		case p.Error != nil:
			return Image{}, problem(fault.Internal, "", what, "it failed without a reason", nil)
		case p.Image != nil:
			return *p.Image, nil
		}
		progress(p)
	}
}
