//go:build !linux

package tree

import (
	"os"
	"time"
)

// setLinkTime does nothing: only Linux sets the time of a link below an open
// directory.
func setLinkTime(*os.Root, string, time.Time) {}
