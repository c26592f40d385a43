package cli

import (
	"fmt"
	"os"
	"strings"

	"aegis/internal/fault"
)

// environment reads files of lines and then flags; the later one wins. "K" alone
// takes K from the caller's environment, and is left out where that has none.
func (a *app) environment(files, flags []string) (map[string]string, error) {
	var all []string
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			return nil, fault.New(fault.Invalid, name, fmt.Sprintf("read --env-file %q", name), "%w", bare(err))
		}
		for line := range strings.Lines(string(content)) {
			line = strings.TrimRight(line, "\r\n")
			if trimmed := strings.TrimSpace(line); trimmed != "" && trimmed[0] != '#' {
				all = append(all, line)
			}
		}
	}
	env := map[string]string{}
	for _, text := range append(all, flags...) {
		if err := a.setEnv(env, text); err != nil {
			return nil, err
		}
	}
	return env, nil
}

// setEnv never shows a value in an error: it may be private.
func (a *app) setEnv(env map[string]string, text string) error {
	name, value, given := strings.Cut(text, "=")
	if name == "" || strings.ContainsAny(name, " \t\x00") {
		return fault.New(fault.Invalid, "", "read the environment", "%.40q is not the name of a variable", name)
	}
	if !given {
		if value = a.env(name); value == "" {
			return nil
		}
	}
	if strings.ContainsRune(value, 0) {
		return fault.New(fault.Invalid, name, "read the environment", "the value of %s has a NUL byte", name)
	}
	env[name] = value
	return nil
}

func parseLabels(flags []string) (map[string]string, error) {
	labels := map[string]string{}
	for _, text := range flags {
		key, value, ok := strings.Cut(text, "=")
		if !ok || key == "" {
			return nil, fault.New(fault.Invalid, text, "read --label", "%.80q is not of the form K=V", text)
		}
		labels[key] = value
	}
	return labels, nil
}
