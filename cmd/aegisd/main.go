// Command aegisd is the control plane of one AEGIS_HOME. `aegis up` starts it.
package main

import (
	"os"

	"aegis/internal/daemon"
)

func main() { os.Exit(daemon.Main(os.Args[1:])) }
