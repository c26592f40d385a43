package cli

import (
	"strconv"
	"strings"
	"time"

	"aegis/internal/fault"
)

// day is what a d stands for: 24 hours, whatever the calendar says.
const day = 24 * time.Hour

// maxDays keeps a time far from the end of time.Duration, which is after 292 years.
const maxDays = 36500

// parseDays reads a time of 0 or more as Go writes durations, with days before
// it: 7d, 1d12h, 90m. An error is a fault.Invalid.
func parseDays(flag, text string) (time.Duration, error) {
	bad := fault.New(fault.Invalid, text, "read --"+flag, "%.40q is not a time of 0 or more, like 7d, 12h or 90s", text)
	days, rest, found := strings.Cut(text, "d")
	if !found {
		days, rest = "0", text
	}
	n, err := strconv.ParseUint(days, 10, 32)
	if err != nil || n > maxDays {
		return 0, bad
	}
	if found && rest == "" {
		rest = "0s"
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || d > maxDays*day {
		return 0, bad
	}
	return time.Duration(n)*day + d, nil
}
