package image

import (
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"

	"aegis/internal/fault"
)

// maxReference bounds a reference, in bytes: registries take repositories of 255, and
// a digest or a tag behind it.
const maxReference = 512

// parse reads a reference, with docker's short forms: alpine is
// docker.io/library/alpine:latest. What is no reference is a fault.Invalid.
func parse(ref string) (name.Reference, error) {
	what := fmt.Sprintf("read image name %.100q", ref)
	if len(ref) > maxReference {
		return nil, fault.New(fault.Invalid, "image", what, "it has %d bytes, more than %d", len(ref), maxReference)
	}
	if strings.ToLower(ref) == DefaultName {
		return nil, fault.New(fault.Invalid, "image", what, "%q is Aegis's own image", DefaultName)
	}
	if strings.HasPrefix(ref, "/") || strings.HasPrefix(ref, ".") {
		return nil, fault.New(fault.Invalid, "image", what, "it is a path and no reference: aegis image import takes those")
	}
	parsed, err := name.ParseReference(ref)
	if err != nil {
		return nil, fault.New(fault.Invalid, "image", what, "it is no reference like alpine:3, registry.example.com/app@sha256:…")
	}
	return parsed, nil
}

// hub is Docker Hub, and how its names are written short.
const hub, hubLibrary = name.DefaultRegistry + "/", "library/"

// short writes a full reference as people do.
func short(full string) string {
	if rest, ok := strings.CutPrefix(full, hub); ok {
		full = rest
		if only, ok := strings.CutPrefix(full, hubLibrary); ok {
			full = only
		} else if first, _, _ := strings.Cut(full, "/"); strings.ContainsAny(first, ".:") {
			full = "docker.io/" + full
		}
	}
	return full
}

// minPrefix is the shortest beginning of a digest that stands for it: what lists show.
const minPrefix = 12

// prefix is the hexadecimal beginning of a digest that ref may be, or "".
func prefix(ref string) string {
	hex := strings.TrimPrefix(ref, digestPrefix)
	if len(hex) < minPrefix || len(hex) > 64 || strings.Trim(hex, "0123456789abcdef") != "" {
		return ""
	}
	return hex
}
