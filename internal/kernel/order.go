package kernel

import (
	"bytes"
	"fmt"
	"slices"
)

// resolver finds the modules of a feature, dependencies first.
type resolver struct {
	from unpacked
	data map[string][]byte // module name → content, of those in use
}

// order lists the modules that want needs, without those of base.
func (r *resolver) order(want, base []string) ([]string, error) {
	var out []string
	for _, name := range want {
		if err := r.add(name, base, &out, 0); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// maxDepth ends a circle of dependencies, which no real kernel has.
const maxDepth = 16

func (r *resolver) add(name string, base []string, out *[]string, depth int) error {
	if slices.Contains(base, name) || slices.Contains(*out, name) {
		return nil
	}
	path, ok := r.from.modules[name]
	if !ok {
		if _, ok := r.from.builtin[name]; ok {
			return nil
		}
		return fmt.Errorf("the kernel has no module %s", name)
	}
	if depth > maxDepth {
		return fmt.Errorf("the dependencies of module %s have no end", name)
	}
	if r.data[name] == nil {
		data, err := readModule(path)
		if err != nil {
			return err
		}
		r.data[name] = data
	}
	needs, err := depends(bytes.NewReader(r.data[name]))
	if err != nil {
		return fmt.Errorf("module %s: %w", name, err)
	}
	for _, need := range needs {
		if err := r.add(need, base, out, depth+1); err != nil {
			return err
		}
	}
	*out = append(*out, name)
	return nil
}
