package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"aegis/internal/fault"
)

// maxFile bounds config.toml, in bytes; ours has a dozen short lines.
const maxFile = 1 << 20

// refuse is the one fault of this package.
func refuse(subject, why string, args ...any) error {
	return fault.New(fault.Config, subject, "read configuration", why, args...)
}

// readFile changes c by the file at path; one that is missing changes nothing.
func (c *Config) readFile(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return refuse(path, "%w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return refuse(path, "%w", err)
	}
	if len(text) > maxFile {
		return refuse(path, "%s has more than %d bytes", path, maxFile)
	}
	return c.readText(path, text)
}

// readText changes c by what text, a TOML document, says. path is for messages.
func (c *Config) readText(path string, text []byte) error {
	values := map[string]any{}
	if err := toml.Unmarshal(text, &values); err != nil {
		return refuse(path, "%s%s: %w", path, tomlLine(err), err)
	}
	where, err := lines(text)
	if err != nil {
		return refuse(path, "%s: %w", path, err)
	}
	for _, place := range where {
		at := fmt.Sprintf("%s:%d", path, place.line)
		s, ok := lookup(place.key)
		if !ok {
			return refuse(place.key, "%s: unknown key %.80q", at, place.key)
		}
		value, err := plain(values[place.key])
		if err == nil {
			err = s.parse(c, value)
		}
		if err != nil {
			return refuse(place.key, "%s: %s: %w", at, place.key, err)
		}
		c.origins[place.key] = at
	}
	return nil
}

// place is where a key stands.
type place struct {
	key  string
	line int
}

// lines finds every key and table of a document that is known to be valid. A key
// of a table is given with its dots, and so is never one of ours.
func lines(text []byte) ([]place, error) {
	var p unstable.Parser
	var out []place
	p.Reset(text)
	for p.NextExpression() {
		e := p.Expression()
		if e.Kind == unstable.Comment {
			continue
		}
		var parts []string
		var first *unstable.Node
		for it := e.Key(); it.Next(); {
			if first == nil {
				first = it.Node()
			}
			parts = append(parts, string(it.Node().Data))
		}
		if first == nil {
			continue
		}
		key := strings.Join(parts, ".")
		if e.Kind != unstable.KeyValue {
			key = "[" + key + "]"
		}
		out = append(out, place{key, p.Shape(first.Raw).Start.Line})
	}
	return out, p.Error()
}

// lookup finds a setting by its key.
func lookup(key string) (setting, bool) {
	for _, s := range settings {
		if s.key == key {
			return s, true
		}
	}
	return setting{}, false
}

// plain is a TOML value as the text that a variable or flag would have.
func plain(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case bool:
		return strconv.FormatBool(v), nil
	}
	return "", errors.New("it takes a string, a whole number, true or false")
}

// tomlLine is ":LINE" of a syntax error, or "" where the library does not say it.
func tomlLine(err error) string {
	var e *toml.DecodeError
	if !errors.As(err, &e) {
		return ""
	}
	line, _ := e.Position()
	return fmt.Sprintf(":%d", line)
}
