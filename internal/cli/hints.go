package cli

import (
	"errors"
	"path"
	"regexp"
	"slices"
	"strings"

	"aegis/internal/fault"
	"aegis/internal/paths"
	"aegis/internal/tree"
)

// hint is the next command to run after a failure, from its kind and its subject;
// where the same failure asks for different acts, from the verb too.
func (a *app) hint(f *fault.Error) string {
	name := quote(f.Subject)
	switch f.Kind {
	case fault.Config:
		return a.hintConfig(f)
	case fault.ImageMissing, fault.ImageUnusable, fault.ImageInUse, fault.Registry:
		return a.hintImage(f)
	case fault.Usage, fault.Invalid:
		if a.meant != "" {
			return a.meant
		}
		return strings.Join(strings.Fields("aegis "+a.verb+" --help"), " ")
	case fault.NotFound, fault.Ambiguous:
		return "aegis ps"
	case fault.NameTaken:
		return "aegis instance info " + name
	case fault.PortTaken:
		return "ss -ltnp"
	case fault.WrongState:
		return a.hintState(name, f.Why)
	case fault.File:
		return a.hintFile(f)
	case fault.Workspace:
		return "ls -ld " + name
	case fault.SecretMissing:
		if a.verb == "secret delete" {
			return "aegis secret list"
		}
		return "aegis secret set " + name
	case fault.CommandNotFound, fault.CommandNotRunnable:
		return "aegis run -- ls -l /usr/local/bin /usr/bin"
	case fault.AssetMissing, fault.AssetDamaged:
		if a.settingUp {
			return "aegis doctor"
		}
		if a.platform != "" {
			return "aegis setup --platform " + a.platform
		}
		return "aegis setup"
	case fault.Backend:
		return "aegis doctor"
	case fault.BootFailed, fault.Backoff:
		return a.hintLog(f)
	}
	return a.hintDaemon(f)
}

// hintImage leads to the images that there are, those who use them, or into a registry.
func (a *app) hintImage(f *fault.Error) string {
	switch {
	case f.Kind == fault.ImageInUse:
		return "aegis ps"
	case f.Kind == fault.Registry && strings.Contains(f.Why, "docker login"):
		return "docker login " + quote(f.Subject)
	case f.Kind == fault.Registry:
		return "curl -sS -o /dev/null https://" + quote(f.Subject) + "/v2/"
	}
	return "aegis image list"
}

// hintDaemon is about failures that no instance has caused.
func (a *app) hintDaemon(f *fault.Error) string {
	switch f.Kind {
	case fault.NoSpace:
		return "df -h " + quote(a.homeDir())
	case fault.PathTooLong:
		return `export AEGIS_HOME="$HOME/.aegis"`
	case fault.Version:
		if f.Subject != "" { // the registry, which no restart makes older
			return "aegis version"
		}
		return "aegis down && aegis up"
	case fault.Unreachable:
		return a.hintUnreachable(f)
	case fault.Timeout, fault.Cancelled:
		return "aegis status"
	}
	return "tail " + quote(a.logFile())
}

// hintConfig leads to the setting: a variable, or the file.
func (a *app) hintConfig(f *fault.Error) string {
	if strings.HasPrefix(f.Subject, "AEGIS_") {
		return "unset " + quote(f.Subject)
	}
	home, err := paths.Locate(a.env)
	if err != nil {
		return "aegis doctor"
	}
	return "${EDITOR:-vi} " + quote(home.Config())
}

// hintState leads out of a state, which the reason names.
func (a *app) hintState(name, why string) string {
	switch {
	case a.verb == "instance delete":
		return "aegis instance delete --force " + name
	case name == "''":
		return "aegis ps"
	case strings.HasPrefix(name, "/"): // a home that a daemon holds and does not answer for
		return "fuser -v " + name + "/aegisd.lock"
	case slices.Contains(atRest, why):
		return "aegis instance start --name " + name
	}
	return "aegis instance info " + name
}

// atRest are the reasons that a start does away with.
var atRest = []string{"it is STOPPED", "it has just stopped", "it has never run"}

// hintFile leads to what is there: here, or in the instance.
func (a *app) hintFile(f *fault.Error) string {
	switch {
	case errors.Is(f, tree.ErrOutside):
		return "aegis cp --unsafe-links " + a.copying.args
	case a.copying.name != "" && f.Subject == a.copying.name:
		return "aegis exec " + quote(f.Subject) + " -- ls -ld " + quote(path.Clean("/"+a.copying.path))
	}
	return "ls -ld " + quote(f.Subject)
}

// hintLog leads to what the guest said. An ephemeral instance has gone with its log.
func (a *app) hintLog(f *fault.Error) string {
	if f.Subject == "" || a.verb == "run" || a.verb == "instance start" {
		return "aegis doctor"
	}
	return "aegis logs " + quote(f.Subject) + " --tail 20"
}

func (a *app) hintUnreachable(f *fault.Error) string {
	switch {
	case f.Subject == daemonProgram:
		return "make build"
	case f.Subject == "" || a.verb == "up":
		return "tail " + quote(a.logFile())
	}
	return "aegis up"
}

func (a *app) homeDir() string {
	home, err := paths.Locate(a.env)
	if err != nil {
		return "~"
	}
	return home.Dir
}

func (a *app) logFile() string {
	home, err := paths.Locate(a.env)
	if err != nil {
		return "~/.aegis/aegisd.log"
	}
	return home.DaemonLog()
}

var plain = regexp.MustCompile(`^[A-Za-z0-9_./:@%+=~-]+$`)

// quote makes text one word of a POSIX shell.
func quote(text string) string {
	if plain.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}
