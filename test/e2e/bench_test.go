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

// figures makes TestFigures measure. scripts/bench sets it.
var figures = flag.Bool("figures", false, "measure speed and memory, and print a table")

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
		{"exec", measureExec},
		{"wake", measureWake},
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
type table struct{ rows [][4]string }

func (f *table) add(what, p50, p95, n string) { f.rows = append(f.rows, [4]string{what, p50, p95, n}) }

// times adds a series of durations, in milliseconds.
func (f *table) times(what string, s series) {
	f.add(what, ms(s.at(50)), ms(s.at(95)), fmt.Sprint(len(s)))
}

// ratio adds how many times b the value a is.
func (f *table) ratio(what string, a, b float64) {
	f.add("  "+what, fmt.Sprintf("%.2f", a/b), "", "")
}

func (f *table) print() {
	fmt.Printf("\n%s/%s, %d processors\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "what\tp50\tp95\tn")
	for _, r := range f.rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r[0], r[1], r[2], r[3])
	}
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
