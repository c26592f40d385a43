// Command manual writes the manual pages of aegis into a directory, for an installation.
// It is a program of its own since what makes them would take a tenth of the time of every
// command of aegis. The pages are dated by SOURCE_DATE_EPOCH, or else today.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra/doc"

	"aegis/internal/cli"
	"aegis/internal/version"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: manual DIR")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "manual:", err)
		os.Exit(1)
	}
}

// write makes the directory, too.
func write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root := cli.Commands()
	root.DisableAutoGenTag = true
	return doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "Aegis " + version.Version, Manual: "Aegis"}, dir)
}
