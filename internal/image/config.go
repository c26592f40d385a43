package image

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"aegis/internal/fault"
)

// maxWords bounds what an image's config may add to the message that starts a command,
// in bytes, and leaves most of its 1 MiB to the user's own words.
const maxWords = 256 << 10

// ociConfig is what matters here of a config (OCI image specification, config.md).
type ociConfig struct {
	Config struct {
		Entrypoint   []string
		Cmd          []string
		Env          []string
		User         string
		WorkingDir   string
		ExposedPorts map[string]struct{}
	} `json:"config"`
}

// readConfig makes a Config of an image's own. What no process could be started with
// is a fault.ImageUnusable.
func readConfig(text []byte) (Config, error) {
	var from ociConfig
	if err := json.Unmarshal(text, &from); err != nil {
		return Config{}, unusable("its config can't be read: %w", err)
	}
	of := from.Config
	c := Config{Entrypoint: of.Entrypoint, Cmd: of.Cmd, Env: map[string]string{}, User: of.User, Workdir: of.WorkingDir,
		Expose: slices.Sorted(maps.Keys(of.ExposedPorts))}
	words := slices.Concat(of.Entrypoint, of.Cmd, of.Env, []string{of.User, of.WorkingDir}, c.Expose)
	size := 0
	for _, w := range words {
		size += len(w) + 1
		if strings.ContainsRune(w, 0) {
			return Config{}, unusable("its config has a word with a zero byte")
		}
	}
	if size > maxWords {
		return Config{}, unusable("its config has words of %d KiB, more than %d", size>>10, maxWords>>10)
	}
	for _, kv := range of.Env {
		if k, v, ok := strings.Cut(kv, "="); ok && k != "" {
			c.Env[k] = v
		}
	}
	if c.Workdir != "" && !strings.HasPrefix(c.Workdir, "/") {
		c.Workdir = "/" + c.Workdir
	}
	return c, nil
}

func unusable(why string, args ...any) error {
	return fault.New(fault.ImageUnusable, "", "", why, args...)
}
