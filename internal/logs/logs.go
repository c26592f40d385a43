// Package logs owns the one log of an instance: NDJSON records in numbered files
// of one directory. The shim writes it (Open), the daemon reads and follows it
// (Read); nothing else holds what an instance has said.
//
// A record is one line:
//
//	{"ts":…,"stream":"stdout|stderr|system","line":…,"instance_id":…,"exec_id":…,"base64":true,"partial":true}
//
// in that order; the last three only where they apply. "base64" says that line
// holds base64, "partial" that no newline followed these bytes: joining the line
// of every record of a stream, with a newline behind each that is not partial,
// gives what the process wrote, byte for byte.
//
// Files count up from 000001.ndjson. A reader never sees a record that is cut
// short; a writer that finds one, left by a crash, cuts it off. One writer at a
// time: the owner of the run sees to that. The package never interprets a line.
package logs

import (
	"os"
	"slices"

	"aegis/internal/paths"
)

// The streams of a record.
const (
	Stdout = "stdout"
	Stderr = "stderr"
	System = "system" // what Aegis has to say
)

const (
	// maxLine is where a line is cut into partial records, in bytes. SPEC asks
	// that one of 16 MiB is one record.
	maxLine = 32 << 20

	// maxRecord bounds a record on disk, for readers: maxLine as base64 or with
	// escapes (see appendText) at most doubles, and the rest is short.
	maxRecord = 2*maxLine + 64<<10

	// minCap is the least that Open takes as a cap.
	minCap = 1 << 20
)

// numbers lists the files of a log in order.
func numbers(dir string) ([]int, error) {
	entries, err := os.ReadDir(dir)
	var out []int
	for _, e := range entries {
		if n, ok := paths.LogNumber(e.Name()); ok {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out, err
}
