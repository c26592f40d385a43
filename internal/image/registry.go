package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"aegis/internal/fault"
	"aegis/internal/image/flatten"
	"aegis/internal/version"
)

// resolve asks for the manifest and the config of what the reference means for a platform.
func (r asker) resolve(want flatten.Platform) (found, error) {
	d, err := remote.Get(r.from, r.options()...)
	if err != nil {
		return found{}, r.failed(err)
	}
	var f found
	if d.MediaType.IsIndex() {
		f.index = d.Digest.String()
		f.image, err = r.choose(d, want)
	} else if d.MediaType.IsImage() {
		f.image, err = d.Image()
	} else {
		err = unusable("it is of the kind %.100q, which is no image that can be used", d.MediaType)
	}
	if err != nil {
		return found{}, r.failed(err)
	}
	if err := f.describe(want); err != nil {
		return found{}, r.failed(err)
	}
	return f, nil
}

// choose is the image for a platform of an index.
func (r asker) choose(d *remote.Descriptor, want flatten.Platform) (v1.Image, error) {
	index, err := d.ImageIndex()
	if err != nil {
		return nil, err
	}
	list, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	var have []flatten.Platform
	var digests []v1.Hash
	for _, m := range list.Manifests {
		if m.Platform != nil && m.MediaType.IsImage() {
			have = append(have, flatten.Platform{OS: m.Platform.OS, Architecture: m.Platform.Architecture, Variant: m.Platform.Variant})
			digests = append(digests, m.Digest)
		}
	}
	best := want.Best(have)
	if best < 0 {
		return nil, want.Missing(have)
	}
	return index.Image(digests[best])
}

// describe reads the manifest and the config and refuses what is not taken, before a
// layer is fetched.
func (f *found) describe(want flatten.Platform) error {
	m, err := f.image.Manifest()
	if err != nil {
		return err
	}
	if len(m.Layers) > flatten.MaxLayers {
		return unusable("it has %d layers, more than %d", len(m.Layers), flatten.MaxLayers)
	}
	if m.Config.Size > flatten.MaxDocument || len(m.Config.Data) > flatten.MaxDocument {
		return unusable("its config has %d bytes, more than %d MiB", m.Config.Size, flatten.MaxDocument>>20)
	}
	var total int64
	for _, l := range m.Layers {
		if !l.MediaType.IsLayer() || !l.MediaType.IsDistributable() || len(l.URLs) > 0 {
			return unusable("it has a layer of the kind %.100q, or one that its registry does not have itself", l.MediaType)
		}
		if total += l.Size; l.Size <= 0 || total > flatten.MaxArchive {
			return unusable("its layers have more than %d GiB", int64(flatten.MaxArchive)>>30)
		}
		f.layers, f.sizes = append(f.layers, l.Digest.String()), append(f.sizes, l.Size)
	}
	if f.config, err = f.image.RawConfigFile(); err != nil {
		return err
	}
	digest, err := f.image.Digest()
	if err != nil {
		return err
	}
	if f.digest = digest.String(); !isDigest(f.digest) {
		return unusable("%.80q is not a digest by sha256", f.digest)
	}
	f.diffIDs, err = flatten.CheckConfig(f.config, want, len(m.Layers))
	return err
}

func (r asker) options() []remote.Option {
	return []remote.Option{remote.WithContext(r.ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain),
		remote.WithTransport(guarded{loopback(r.from.Context().Registry)}),
		remote.WithRetryBackoff(remote.Backoff{Duration: retryAfter, Factor: 3, Steps: 3}), remote.WithUserAgent("aegis/" + version.Version)}
}

// failed says why a registry gave nothing, in words of its own only where they are
// short and clean.
func (r asker) failed(err error) error {
	if fe := (*fault.Error)(nil); errors.As(err, &fe) {
		return fe
	}
	if pe := (*fs.PathError)(nil); isFull(err) || r.ctx.Err() != nil || errors.As(err, &pe) {
		return err // it is this machine's
	}
	host := r.from.Context().RegistryStr()
	var answer *transport.Error
	var op *net.OpError
	var dns *net.DNSError
	switch {
	case errors.As(err, &answer):
		return r.refused(host, answer)
	case errors.As(err, &dns):
		return fault.New(fault.Registry, host, "", "%s can't be found: %w", host, dns)
	case errors.As(err, &op):
		return fault.New(fault.Registry, host, "", "%s can't be reached: %w", host, op)
	}
	text := err.Error()
	for _, mark := range mismatches {
		if strings.Contains(text, mark) {
			return unusable("what %s sends is not what its digest says", host)
		}
	}
	return fault.New(fault.Registry, host, "", "%s gives no answer that can be used: %.300s", host, text)
}

// mismatches are what the library says of content that is not what was asked for: it
// has no errors of a type for that.
var mismatches = []string{"error verifying", "does not match requested digest", "does not match expected size"}

func (r asker) refused(host string, answer *transport.Error) error {
	switch answer.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fault.New(fault.Registry, host, "", "%s does not let us have it: it is not there, or needs docker login", host)
	case http.StatusNotFound:
		return fault.New(fault.ImageMissing, r.from.String(), "", "%s does not have it", host)
	case http.StatusTooManyRequests:
		return fault.New(fault.Registry, host, "", "%s takes no more requests for now", host)
	}
	return fault.New(fault.Registry, host, "", "%s answers with status %d", host, answer.StatusCode)
}

// loopback is whether a registry is on this machine, where HTTP will do.
func loopback(r name.Registry) bool {
	host := r.RegistryStr()
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// retryAfter is how long to wait before the second of three tries.
const retryAfter = 200 * time.Millisecond

// quietTime is how long a registry may send nothing in the middle of an answer.
const quietTime = 60 * time.Second

// guarded sends requests, without TLS to this machine only, and bounds what is
// answered: all but blobs are documents.
type guarded struct{ loopback bool }

// RoundTrip is http.RoundTripper's.
func (g guarded) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "https" && !g.loopback {
		return nil, fault.New(fault.Registry, req.URL.Host, "", "%s has no TLS, without which only registries of this machine are asked", req.URL.Host)
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	quiet := time.AfterFunc(quietTime, func() {
		cancel(fault.New(fault.Registry, req.URL.Host, "", "%s sent nothing for %s", req.URL.Host, quietTime))
	})
	resp, err := remote.DefaultTransport.RoundTrip(req.WithContext(ctx))
	if err != nil {
		quiet.Stop()
		if cause := context.Cause(ctx); fault.Is(cause, fault.Registry) {
			err = cause
		}
		cancel(nil)
		return nil, err
	}
	limit := int64(flatten.MaxDocument)
	if strings.Contains(asked(req), "/blobs/") {
		limit = flatten.MaxArchive
	}
	resp.Body = &guardedBody{resp.Body, ctx, cancel, quiet, limit}
	return resp, nil
}

// asked is the path that a request began with, before it was sent elsewhere.
func asked(req *http.Request) string {
	for req.Response != nil && req.Response.Request != nil {
		req = req.Response.Request
	}
	return req.URL.Path
}

type guardedBody struct {
	io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	quiet  *time.Timer
	left   int64
}

func (b *guardedBody) Read(p []byte) (int, error) {
	b.quiet.Reset(quietTime)
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, unusable("the registry sends more than is taken")
	}
	if cause := context.Cause(b.ctx); err != nil && err != io.EOF && fault.Is(cause, fault.Registry) {
		err = cause
	}
	return n, err
}

func (b *guardedBody) Close() error {
	b.quiet.Stop()
	err := b.ReadCloser.Close()
	b.cancel(nil)
	if err != nil {
		return fmt.Errorf("close the answer: %w", err)
	}
	return nil
}
