package shim

import (
	"encoding/json"
	"os"

	"aegis/internal/instance"
	"aegis/internal/paths"

	"github.com/google/renameio/v2"
)

// writeExit keeps how a run ended, atomically and synchronized, for a daemon that
// was not there to be told.
func writeExit(dir paths.Run, exit instance.Exit) error {
	body, err := json.Marshal(exit)
	if err != nil {
		return err
	}
	return renameio.WriteFile(dir.Exit(), body, 0o600)
}

// ReadExit reads what a run left behind, or false when its shim could not write it.
func ReadExit(dir paths.Run) (instance.Exit, bool) {
	var exit instance.Exit
	body, err := os.ReadFile(dir.Exit())
	if err != nil {
		return instance.Exit{}, false
	}
	if json.Unmarshal(body, &exit) != nil {
		return instance.Exit{}, false
	}
	return exit, true
}
