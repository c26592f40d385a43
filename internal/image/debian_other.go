//go:build !linux

package image

import (
	"context"
	"runtime"

	"aegis/internal/fault"
)

// debian refuses: Debian's package scripts run on Linux only.
func (recipe) debian(context.Context, string, func(string, int64, int64)) error {
	return fault.New(fault.AssetMissing, DefaultName, "make default image",
		"a Debian root can't be built on %s; copy the images directory of a Linux machine's cache here", runtime.GOOS)
}
