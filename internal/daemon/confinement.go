package daemon

import (
	"context"

	"aegis/client"
	"aegis/internal/config"
	"aegis/internal/confine"
	"aegis/internal/fault"
)

// findRung lets the shim's program find what this machine allows. dir is one that this
// user can open.
func findRung(dir string) confine.Found {
	program, err := companion("aegis-shim")
	if err != nil {
		return confine.Found{Rung: confine.Off, Cause: fault.As(err).Why}
	}
	found, err := confine.Ask(context.Background(), program, dir)
	if err != nil {
		return confine.Found{Rung: confine.Off, Cause: err.Error()}
	}
	return found
}

// chooseRung is what the configuration makes of what the machine allows: a rung, or why
// nothing may be started.
func chooseRung(wanted string, find func() confine.Found) (confine.Rung, error) {
	const title = "confine what handles the guest"
	if wanted == config.ConfineOff {
		return confine.Off, nil
	}
	found := find()
	switch {
	case !found.Rung.On():
		return "", fault.New(fault.Backend, "", title, "this machine allows no confinement (%s), and none at all has to be asked for: confinement = \"off\"", found.Cause)
	case wanted == config.ConfineFull && found.Rung != confine.Rungs[0]:
		return "", fault.New(fault.Backend, "", title, "confinement = \"full\" is asked for, and this machine allows %s: %s", found.Rung, found.Cause)
	}
	return found.Rung, nil
}

func checkConfinement(wanted string, find func() confine.Found) client.Check {
	const name = "confinement"
	rung, err := chooseRung(wanted, find)
	fix := find().Fix
	switch {
	case err != nil:
		return note(name, "", err, fail, or(fix, "aegis config, and what docs/security.md says of confinement"))
	case rung == confine.Off:
		return client.Check{Name: name, Status: warn, Detail: "off, as the configuration says: a guest that breaks out of its monitor is you",
			Fix: "remove confinement from config.toml"}
	case rung == confine.Sandbox:
		return client.Check{Name: name, Status: ok, Detail: "sandbox: a profile of sandbox-exec for what handles a guest's bytes, not for the shim"}
	case rung != confine.Full:
		return client.Check{Name: name, Status: warn, Detail: string(rung) + ": " + find().Cause, Fix: or(fix, "aegis config, and what docs/security.md says of confinement")}
	}
	return client.Check{Name: name, Status: ok, Detail: "full: namespaces, Landlock, a filter of system calls"}
}

func or(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}
