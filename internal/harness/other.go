//go:build !linux

package harness

import (
	"fmt"
	"os"
)

// Main refuses: the harness is a Linux guest's first process.
func Main([]string) int {
	fmt.Fprintln(os.Stderr, "aegis-harness: it runs only as PID 1 of a Linux guest")
	return 1
}
