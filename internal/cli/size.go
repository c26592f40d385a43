package cli

import (
	"aegis/internal/config"
	"aegis/internal/fault"
)

// sizeFlag reads a flag's size as config.toml's are read, above 0; an absent flag
// is 0. An error is a fault.Invalid.
func sizeFlag(flag, text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	n, err := config.ParseSize(text)
	if err != nil || n < 1 {
		return 0, fault.New(fault.Invalid, text, "read --"+flag, "%.40q is not a size above 0, like 512M or 8G", text)
	}
	return n, nil
}
