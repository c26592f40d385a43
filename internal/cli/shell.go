package cli

import (
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"aegis/client"
)

// loginShell runs the login shell that the guest's /etc/passwd gives its user.
// Users without one, and images without that file, get bash or else sh.
const loginShell = `u=$(id -u 2>/dev/null) s=
if [ -r /etc/passwd ]; then
	while IFS=: read -r _ _ i _ _ _ s; do [ "$i" = "${u:-0}" ] && break; s=; done </etc/passwd
fi
case $s in */nologin | */false) s= ;; esac
[ -x "$s" ] || s=$(command -v bash || command -v sh)
export SHELL="$s"
exec "$s" -l`

func (a *app) shell() *cobra.Command {
	var e client.Exec
	var env []string
	cmd := &cobra.Command{Use: "shell [FLAGS] NAME", Short: "Open a login shell in an instance",
		Long: "Open a login shell in an instance: the one that its /etc/passwd gives the user, else bash or sh.\n" +
			"A paused instance is resumed. It exits as the shell does. Without a terminal on standard input\n" +
			"the shell reads its commands from there.",
		Args: a.one("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			a.begun, a.process = true, true
			e.Command = []string{"sh", "-c", loginShell}
			e.TTY = term.IsTerminal(int(a.in.Fd()))
			if t := a.env("TERM"); t != "" && e.TTY {
				env = append([]string{"TERM=" + t}, env...)
			}
			var err error
			if e.Env, err = a.environment(nil, env); err != nil {
				return err
			}
			return a.execIn(cmd.Context(), args[0], e, 0)
		}}
	processFlags(cmd, &e, &env)
	return cmd
}
