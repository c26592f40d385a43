package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"aegis/internal/instance"
)

// units of a size, binary as docker's: 512m is 512 MiB.
const units = "kmgtp"

// ParseSize reads a size as docker does: a number, which may have a fraction, and
// b, k, m, g, t or p in either case, with or without "b" or "ib" behind it. All
// are powers of 1024; without a letter it is bytes.
func ParseSize(text string) (int64, error) {
	const form = "is not a size like 512M, 8G or 1048576"
	digits := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	factor, ok := unit(strings.ToLower(text[len(digits):]))
	digits = strings.TrimSuffix(digits, " ")
	if !ok || digits == "" || strings.Trim(digits, "0123456789.") != "" {
		return 0, invalid(text, form)
	}
	if n, err := strconv.ParseInt(digits, 10, 64); err == nil {
		if n > math.MaxInt64/factor {
			return 0, invalid(text, "is more bytes than can be counted")
		}
		return n * factor, nil
	}
	f, err := strconv.ParseFloat(digits, 64)
	switch {
	case err != nil && !strings.Contains(digits, "."):
		return 0, invalid(text, "is more bytes than can be counted")
	case err != nil:
		return 0, invalid(text, form)
	case f*float64(factor) >= math.MaxInt64:
		return 0, invalid(text, "is more bytes than can be counted")
	}
	return int64(f * float64(factor)), nil
}

// unit is the factor of a lower-case suffix: "", b, k, kb, kib, m, …
func unit(suffix string) (int64, bool) {
	if suffix == "" || suffix == "b" {
		return 1, true
	}
	i := strings.IndexByte(units, suffix[0])
	if i < 0 || (suffix[1:] != "" && suffix[1:] != "b" && suffix[1:] != "ib") {
		return 0, false
	}
	return 1 << (10 * (i + 1)), true
}

// FormatSize writes bytes with the largest letter that loses nothing, in a form
// that ParseSize reads: 512M, 8G, 1000.
func FormatSize(n int64) string {
	letter := ""
	for i := 0; i < len(units) && n != 0 && n%1024 == 0; i++ {
		n /= 1024
		letter = strings.ToUpper(units[i : i+1])
	}
	return fmt.Sprintf("%d%s", n, letter)
}

// HumanSize writes bytes for a person, with at most one decimal: 217.2 MiB. What is
// parsed again is FormatSize's.
func HumanSize(n int64) string { return humanSize(n, 1) }

// HumanSizes writes two sizes as HumanSize does, with as many decimals as it takes
// to see that they differ, or in bytes.
func HumanSizes(a, b int64) (string, string) {
	for decimals := 1; decimals <= 3; decimals++ {
		if one, other := humanSize(a, decimals), humanSize(b, decimals); one != other || a == b {
			return one, other
		}
	}
	return fmt.Sprintf("%d bytes", a), fmt.Sprintf("%d bytes", b)
}

func humanSize(n int64, decimals int) string {
	const letters = "KMGTP"
	value, power := float64(n), 0
	for value >= 1024 && power < len(letters) {
		value /= 1024
		power++
	}
	if power == 0 {
		return fmt.Sprintf("%d B", n)
	}
	text := strings.TrimRight(strconv.FormatFloat(value, 'f', decimals, 64), "0")
	return strings.TrimSuffix(text, ".") + " " + letters[power-1:power] + "iB"
}

// never is the word for a timeout that is switched off.
const never = "never"

// ParseTimeout reads a duration as Go does, or "never" or "0", which switch it off.
func ParseTimeout(text string) (instance.Timeout, error) {
	if text == never {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, invalid(text, "is not a duration like 90s, 20m or 1h30m, nor never")
	}
	return instance.Timeout(d), nil
}

// FormatTimeout writes what ParseTimeout reads.
func FormatTimeout(t instance.Timeout) string {
	if t == 0 {
		return never
	}
	return time.Duration(t).String()
}

// ParseDuration reads a duration as Go does, 0 or more; there is no "never".
func ParseDuration(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, invalid(text, "is not a duration like 500ms, 10s or 2m")
	}
	return d, nil
}
