// Command aegis-harness is PID 1 of every guest.
package main

import (
	"os"

	"aegis/internal/harness"
)

func main() { os.Exit(harness.Main(os.Args)) }
