package paths

import (
	"path/filepath"
	"strings"
)

// Templates holds a directory for each template, by its key.
func (h Home) Templates() string { return filepath.Join(h.Dir, nameTemplates) }

// Template is a directory of one template.
func (h Home) Template(key string) Template { return Template{filepath.Join(h.Templates(), key)} }

// Template is what VMs are restored from: a monitor's files and a manifest.
type Template struct{ Dir string }

// Manifest says what the other files are.
func (t Template) Manifest() string { return filepath.Join(t.Dir, nameManifest) }

// Unfinished is where the template is made.
func (t Template) Unfinished() Template { return Template{t.Dir + suffixUnfinished} }

// Leaving is where the template goes before it is removed.
func (t Template) Leaving() string { return t.Dir + suffixLeaving }

// IsTemplateLeftover reports whether a base name in Templates is that of a template
// which was not made to its end, or not removed to its end.
func IsTemplateLeftover(name string) bool {
	return strings.HasSuffix(name, suffixUnfinished) || strings.HasSuffix(name, suffixLeaving)
}
