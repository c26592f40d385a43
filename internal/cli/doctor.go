package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"

	"github.com/spf13/cobra"

	"aegis/client"
	"aegis/internal/fault"
)

func (a *app) doctor() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{Use: "doctor", Short: "Check every prerequisite and say what mends it", Args: a.none,
		RunE: a.do(func(ctx context.Context, _ *cobra.Command, _ []string) error {
			shown := a.waiting()
			checks, failed, err := a.examine(ctx)
			shown.stop()
			if err != nil {
				return err
			}
			if asJSON {
				err = a.json(checks)
			} else {
				a.printChecks(checks)
			}
			if err == nil && failed {
				return status(1)
			}
			return err
		})}
	jsonFlag(cmd, &asJSON)
	return cmd
}

// examine asks aegisd itself, so that it works while no daemon can run. failed
// means that an instance could not start.
func (a *app) examine(ctx context.Context) (checks []client.Check, failed bool, err error) {
	const what = "examine this machine"
	program, err := a.findDaemon()
	if err != nil {
		return nil, false, err
	}
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, program, "doctor", "--json")
	cmd.Env = a.daemonEnv(os.Environ())
	cmd.Stderr = &said
	out, runErr := cmd.Output()
	if err := json.Unmarshal(out, &checks); err != nil {
		why := "aegisd doctor answered nothing that can be read"
		if text := bytes.TrimSpace(said.Bytes()); len(text) > 0 {
			why += ": " + string(text[:min(len(text), 2000)])
		}
		return nil, false, &fault.Error{Kind: fault.Internal, What: what, Why: why, Cause: err}
	}
	failed = runErr != nil
	for _, c := range checks {
		failed = failed || c.Status == "fail"
	}
	return checks, failed, nil
}

var checkColour = map[string]string{"ok": "32", "warn": "33", "fail": "31"} // green, yellow, red

func (a *app) printChecks(checks []client.Check) {
	for _, c := range checks {
		fmt.Fprintf(a.out, "%s  %s: %s\n", a.colour(checkColour[c.Status], fmt.Sprintf("%-4s", c.Status)), c.Name, clean(c.Detail))
		if c.Fix != "" {
			fmt.Fprintf(a.out, "      fix: %s\n", clean(c.Fix))
		}
	}
}
