package kernel

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io"
	"strings"
)

// maxModule bounds a decompressed module: the largest of Debian 12 has 8 MiB.
const maxModule = 64 << 20 // bytes

// depends reads which modules a module needs before itself: depends= in its
// .modinfo section, which holds NUL-terminated key=value strings (kernel:
// include/linux/moduleparam.h, scripts/mod/modpost.c). Soft dependencies are not
// read: they name aliases, and nothing fails without them.
func depends(module io.ReaderAt) ([]string, error) {
	f, err := elf.NewFile(module)
	if err != nil {
		return nil, fmt.Errorf("read a module: %w", err)
	}
	section := f.Section(".modinfo")
	if section == nil || section.Size > maxModule {
		return nil, fmt.Errorf("read a module: it has no usable .modinfo")
	}
	data, err := section.Data()
	if err != nil {
		return nil, fmt.Errorf("read a module: %w", err)
	}
	var out []string
	for entry := range bytes.SplitSeq(data, []byte{0}) {
		value, ok := strings.CutPrefix(string(entry), "depends=")
		if !ok {
			continue
		}
		for _, name := range strings.FieldsFunc(value, func(r rune) bool { return r == ',' }) {
			out = append(out, moduleName(name))
		}
	}
	return out, nil
}

// moduleName is how the kernel calls a module: the file's name without
// suffixes, with underscores.
func moduleName(file string) string {
	name, _, _ := strings.Cut(file[strings.LastIndexByte(file, '/')+1:], ".ko")
	return strings.ReplaceAll(name, "-", "_")
}
