package flatten

import (
	"encoding/json"
	"strings"
)

// Media types that an index may hold (OCI image specification; docker's own).
var (
	indexTypes    = []string{"application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"}
	manifestTypes = []string{"application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"}
)

// maxNested is how deep indexes may lie in each other: a layout has one for the
// archive, in which there may be one for an image of several platforms.
const maxNested = 3

// descriptor is a reference to a blob.
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Platform    *Platform         `json:"platform"`
	Annotations map[string]string `json:"annotations"`
}

// manifest is one of an index or of an image, by what it holds.
type manifest struct {
	Manifests []descriptor `json:"manifests"`
	Config    descriptor   `json:"config"`
	Layers    []descriptor `json:"layers"`
}

// Annotations with which tools name an image of a layout.
var nameAnnotations = []string{"io.containerd.image.name", "org.opencontainers.image.ref.name"}

// oci finds the layers of an OCI layout in the archive, or says that it is none.
func (a *archive) oci(want Platform, res *Result) (layers []layer, ok bool, err error) {
	text, err := a.document("index.json")
	if text == nil || err != nil {
		return nil, false, err
	}
	if a.open("oci-layout") == nil {
		return nil, false, nil
	}
	at := descriptor{}
	for range maxNested {
		var m manifest
		if err := json.Unmarshal(text, &m); err != nil {
			return nil, true, refuse("its index can't be read: %w", err)
		}
		if at, err = m.choose(want); err != nil {
			return nil, true, err
		}
		for _, key := range nameAnnotations {
			if name := at.Annotations[key]; name != "" && len(res.Names) == 0 {
				res.Names = []string{name}
			}
		}
		if text, err = a.blob(at, "manifest"); err != nil {
			return nil, true, err
		}
		if !at.is(indexTypes) {
			layers, err = a.manifest(text, want, res)
			res.Digest = at.Digest
			return layers, true, err
		}
	}
	return nil, true, refuse("its indexes lie more than %d deep", maxNested)
}

func (d descriptor) is(types []string) bool {
	for _, t := range types {
		if d.MediaType == t {
			return true
		}
	}
	return false
}

// choose is the one image of an index for a platform. One that does not say its
// platform is for any: its config says it.
func (m manifest) choose(want Platform) (descriptor, error) {
	var fit, all []descriptor
	var have []Platform
	for _, d := range m.Manifests {
		if !d.is(indexTypes) && !d.is(manifestTypes) {
			continue
		}
		all = append(all, d)
		if d.Platform == nil {
			fit = append(fit, d)
			continue
		}
		have = append(have, *d.Platform)
		if want.Fits(*d.Platform) {
			fit = append(fit, d)
		}
	}
	switch {
	case len(all) == 0:
		return descriptor{}, refuse("its index holds no image")
	case len(fit) == 0:
		return descriptor{}, want.Missing(have)
	case len(fit) == 1:
		return fit[0], nil
	}
	var names []string
	for _, d := range fit[:min(len(fit), 12)] {
		if d.Platform != nil && d.Platform.Variant == want.Variant && len(fit) == len(have) {
			return d, nil
		}
		names = append(names, d.Annotations[nameAnnotations[1]])
	}
	return descriptor{}, refuse("it holds %d images (%.300s): copy and import them one by one", len(fit), strings.Join(names, ", "))
}

// blob reads a small blob and compares its digest.
func (a *archive) blob(d descriptor, what string) ([]byte, error) {
	name, err := d.place()
	if err != nil {
		return nil, err
	}
	text, err := a.document(name)
	switch {
	case err != nil:
		return nil, err
	case text == nil:
		return nil, refuse("its %s %s is not in it", what, d.Digest)
	case Digest(text) != d.Digest:
		return nil, refuse("its %s has the digest %s and not %s", what, Digest(text), d.Digest)
	}
	return text, nil
}

// place is where a layout has a blob.
func (d descriptor) place() (string, error) {
	hex, ok := strings.CutPrefix(d.Digest, "sha256:")
	if !ok || len(hex) != 64 || strings.Trim(hex, "0123456789abcdef") != "" {
		return "", refuse("%.80q is not a digest by sha256", d.Digest)
	}
	return "blobs/sha256/" + hex, nil
}

// manifest finds the layers of an image's.
func (a *archive) manifest(text []byte, want Platform, res *Result) ([]layer, error) {
	var m manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, refuse("its manifest can't be read: %w", err)
	}
	conf, err := a.blob(m.Config, "config")
	if err != nil {
		return nil, err
	}
	c, err := parseConfig(conf, want, len(m.Layers))
	if err != nil {
		return nil, err
	}
	var layers []layer
	for i, d := range m.Layers {
		name, err := d.place()
		if err != nil {
			return nil, err
		}
		raw := a.open(name)
		if raw == nil {
			return nil, refuse("its layer %s is not in it", d.Digest)
		}
		layers = append(layers, layer{raw: raw, digest: d.Digest, diffID: c.RootFS.DiffIDs[i]})
	}
	res.Config = conf
	return layers, nil
}
