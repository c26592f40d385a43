// Command aegis-krun is the process of a VM of the backend libkrun. aegis-shim starts
// it. It alone of Aegis's programs is linked with the C library, which loads libkrun.
package main

import (
	"os"

	"aegis/internal/vmm/krun/worker"
)

func main() { os.Exit(worker.Main(os.Args[1:])) }
