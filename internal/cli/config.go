package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"aegis/client"
	"aegis/internal/config"
	"aegis/internal/paths"
)

func (a *app) config() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{Use: "config", Short: "Print every setting, and where its value comes from",
		Long: "Print every setting, and where its value comes from: the default, a line of config.toml, or a\n" +
			"variable. A daemon reads them when it starts; where one runs with other values, that is said.",
		Args: a.none,
		RunE: a.do(func(ctx context.Context, _ *cobra.Command, _ []string) error {
			home, err := paths.Locate(a.env)
			if err != nil {
				return err
			}
			loaded, err := config.Load(home, a.env)
			if err != nil {
				return err
			}
			settings := []client.Setting{}
			for _, v := range loaded.Values() {
				settings = append(settings, client.Setting(v))
			}
			c := client.New(home.Socket())
			if running, err := c.Config(ctx); err == nil { // without a daemon there is nothing to compare with
				a.noteOthers(settings, running)
			}
			if asJSON {
				return a.json(settings)
			}
			var rows [][]string
			for _, s := range settings {
				rows = append(rows, []string{s.Key, or(s.Value, `""`), s.Origin, s.Doc})
			}
			return a.table([]string{"KEY", "VALUE", "FROM", "MEANING"}, rows)
		})}
	jsonFlag(cmd, &asJSON)
	return cmd
}

// noteOthers names the settings that the running daemon has otherwise.
func (a *app) noteOthers(here, running []client.Setting) {
	values := map[string]string{}
	for _, s := range here {
		values[s.Key] = s.Value
	}
	var others []string
	for _, s := range running {
		if value, known := values[s.Key]; known && value != s.Value {
			others = append(others, s.Key+" = "+s.Value+" ("+s.Origin+")")
		}
	}
	if len(others) > 0 {
		a.note("the daemon that runs has %s", strings.Join(others, ", "))
		a.note("hint: aegis down && aegis up")
	}
}
