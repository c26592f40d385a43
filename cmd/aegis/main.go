// Command aegis starts, looks at and ends microVM sandboxes. It speaks to aegisd,
// and starts it when it does not run. All of it is package cli.
package main

import (
	"os"

	"aegis/internal/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:])) }
