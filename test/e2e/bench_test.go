package e2e

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"testing"
	"text/tabwriter"
	"time"
)

// figures makes TestFigures measure, and rounds is how often. scripts/bench sets them.
var (
	figures = flag.Bool("figures", false, "measure speed and memory, and print a table")
	rounds  = flag.Int("rounds", 30, "how often a start is measured")
)

// TestFigures measures what docs/performance.md speaks of, with real microVMs. It
// asserts that things work, and never how long they take. What is compared is
// measured in turns, since the machine's speed drifts: trust the ratios.
func TestFigures(t *testing.T) {
	if !*figures {
		t.Skip("it measures, and asserts nothing: make bench")
	}
	var out table
	for _, part := range []struct {
		name    string
		measure func(*home, *table)
	}{
		{"start", measureStarts},
		{"simultaneous wakes", measureManyWakes},
		{"routed", measureRouted},
		{"network", measureNetwork},
		{"memory", measureMemory},
		{"confinement", measureConfinement},
		{"records", measureRecords},
	} {
		t.Run(part.name, func(t *testing.T) {
			began := time.Now()
			part.measure(newHome(t), &out)
			fmt.Printf("measured %s in %s\n", part.name, time.Since(began).Round(time.Second))
		})
	}
	out.print()
}

// table holds the figures in the order in which they were measured.
type table struct {
	columns []string // names of those behind the first
	rows    []row
}

type row struct {
	what, n string
	cells   []cell // by column
}

// cell is a p50 and a p95, or one of them, or nothing.
type cell []string

func (f *table) row(what, n string, cells ...cell) { f.rows = append(f.rows, row{what, n, cells}) }

// add adds a row of the first column, which is of this machine's monitor.
func (f *table) add(what, p50, p95, n string) { f.row(what, n, cell{p50, p95}) }

// column names one.
func (f *table) column(i int, name string) {
	for len(f.columns) <= i {
		f.columns = append(f.columns, "")
	}
	f.columns[i] = name
}

// times adds series of durations, one a column.
func (f *table) times(what string, took ...series) {
	var cells []cell
	n := 0
	for _, s := range took {
		cells = append(cells, cell{ms(s.at(50)), ms(s.at(95))})
		n = len(s)
	}
	f.row(what, fmt.Sprint(n), cells...)
}

// ratio adds how many times b the value a is.
func (f *table) ratio(what string, a, b float64) {
	f.add("  "+what, fmt.Sprintf("%.2f", a/b), "", "")
}

// ratios adds how many times b's times a's are.
func (f *table) ratios(what string, a, b series) {
	over := func(p int) string { return fmt.Sprintf("%.2f", float64(a.at(p))/float64(b.at(p))) }
	f.add("  "+what, over(50), over(95), "")
}

func (f *table) print() {
	fmt.Printf("\n%s/%s, %d processors\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "what\tn")
	for i := range max(1, len(f.columns)) {
		name := ""
		if i < len(f.columns) {
			name = f.columns[i] + " "
		}
		fmt.Fprintf(w, "\t%sp50\tp95", name)
	}
	for _, r := range f.rows {
		fmt.Fprintf(w, "\n%s\t%s", r.what, r.n)
		for _, c := range r.cells {
			c = append(c, "", "")
			fmt.Fprintf(w, "\t%s\t%s", c[0], c[1])
		}
	}
	fmt.Fprintln(w)
	w.Flush()
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond)) }

func mib(bytes int64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }

// series are measurements of one thing.
type series []time.Duration

// took measures f once.
func (s *series) took(f func()) {
	began := time.Now()
	f()
	*s = append(*s, time.Since(began))
}

// at is the p-th percentile, by the nearest rank.
func (s series) at(p int) time.Duration {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	return sorted[(len(sorted)-1)*p/100]
}
