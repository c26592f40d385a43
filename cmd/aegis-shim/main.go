// Command aegis-shim owns one virtual machine, or serves its workspace. aegisd
// starts it.
package main

import (
	"os"

	"aegis/internal/shim"
)

func main() { os.Exit(shim.Main(os.Args[1:])) }
