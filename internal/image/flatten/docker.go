package flatten

import (
	"encoding/json"
	"path"
	"strings"
)

// dockerImage is an entry of an archive's manifest.json, as `docker save` writes it.
type dockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// docker finds the layers of an archive of docker's kind, or says that it is none.
func (a *archive) docker(want Platform, res *Result) (layers []layer, ok bool, err error) {
	text, err := a.document("manifest.json")
	if text == nil || err != nil {
		return nil, false, err
	}
	var images []dockerImage
	if json.Unmarshal(text, &images) != nil || len(images) == 0 || images[0].Config == "" {
		return nil, false, nil // a file of a root that happens to have this name
	}
	if len(images) > 1 {
		var names []string
		for _, i := range images[:min(len(images), 12)] {
			names = append(names, strings.Join(i.RepoTags, " "))
		}
		return nil, true, refuse("it holds %d images (%.300s): save and import them one by one", len(images), strings.Join(names, ", "))
	}
	image := images[0]
	text, err = a.document(image.Config)
	if err != nil {
		return nil, true, err
	}
	if text == nil {
		return nil, true, refuse("its config %.100q is not in it", image.Config)
	}
	digest := Digest(text)
	if hex := strings.TrimSuffix(path.Base(image.Config), ".json"); len(hex) == 64 && "sha256:"+hex != digest {
		return nil, true, refuse("its config has the digest %s and not that of its name, %s", digest, hex)
	}
	c, err := parseConfig(text, want, len(image.Layers))
	if err != nil {
		return nil, true, err
	}
	for i, name := range image.Layers {
		raw := a.open(name)
		if raw == nil {
			return nil, true, refuse("its layer %.100q is not in it", name)
		}
		layers = append(layers, layer{raw: raw, diffID: c.RootFS.DiffIDs[i]})
	}
	res.Config, res.Digest, res.Names = text, digest, image.RepoTags
	return layers, true, nil
}
