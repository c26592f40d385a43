package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

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

// table prints rows in columns, on a terminal within its width. A nil header is
// none, and its rows are a list of names and values, which stay whole.
func (a *app) table(header []string, rows [][]string) error {
	for _, row := range rows {
		for i := range row {
			row[i] = strings.Map(oneLine, clean(row[i]))
		}
	}
	if header != nil {
		rows = append([][]string{header}, rows...)
		if terminal(a.out) {
			narrow(rows, widthOf(a.out))
		}
	}
	w := tabwriter.NewWriter(a.out, 0, 0, columnGap, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, strings.TrimRight(strings.Join(row, "\t"), "\t"))
	}
	return w.Flush()
}

// columnGap is the space between two columns, and minColumn what one is not cut
// below, in characters.
const columnGap, minColumn = 2, 4

// narrow cuts the widest columns until all of them fit.
func narrow(rows [][]string, width int) {
	widths := make([]int, len(rows[0]))
	total := columnGap * (len(widths) - 1)
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, w := range widths {
		total += w
	}
	for ; total > width; total-- {
		widest := 0
		for i, w := range widths {
			if w >= widths[widest] { // of equals the last: names and IDs stand first
				widest = i
			}
		}
		if widths[widest] <= minColumn {
			break
		}
		widths[widest]--
	}
	for _, row := range rows {
		for i := range row {
			row[i] = fit(row[i], widths[i])
		}
	}
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
