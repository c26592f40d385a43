package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func jsonFlag(cmd *cobra.Command, to *bool) {
	cmd.Flags().BoolVar(to, "json", false, "print JSON")
}

func quietFlag(cmd *cobra.Command, to *bool) {
	cmd.Flags().BoolVarP(to, "quiet", "q", false, "print IDs alone")
}

// json prints a product as JSON.
func (a *app) json(v any) error {
	enc := json.NewEncoder(a.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// say prints one line each.
func (a *app) say(lines ...string) error {
	for _, line := range lines {
		if _, err := fmt.Fprintln(a.out, clean(line)); err != nil {
			return err
		}
	}
	return nil
}

// table prints rows in columns. A nil header is none.
func (a *app) table(header []string, rows [][]string) error {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	if header != nil {
		fmt.Fprintln(w, strings.Join(header, "\t"))
	}
	for _, row := range rows {
		for i := range row {
			row[i] = strings.Map(oneLine, clean(row[i]))
		}
		fmt.Fprintln(w, strings.TrimRight(strings.Join(row, "\t"), "\t"))
	}
	return w.Flush()
}

func oneLine(r rune) rune {
	if r == '\n' || r == '\t' {
		return ' '
	}
	return r
}

// colour wraps text for a terminal, unless NO_COLOR is set (no-color.org). code
// is a parameter of SGR (ECMA-48).
func (a *app) colour(code, text string) string {
	file, ok := a.out.(*os.File)
	if !ok || a.env("NO_COLOR") != "" || !term.IsTerminal(int(file.Fd())) {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}
