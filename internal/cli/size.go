package cli

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"aegis/internal/fault"
)

// units are powers of 1024, as docker's are.
var units = map[string]float64{"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}

// parseSizeFlag reads "512M", "1.5g", "8GiB", "1048576b" or "1048576" as bytes;
// an absent flag is 0. An error is a fault.Invalid.
func parseSizeFlag(flag, text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	lower := strings.ToLower(text)
	number := strings.TrimRight(lower, "abcdefghijklmnopqrstuvwxyz")
	unit := strings.TrimSuffix(strings.TrimSuffix(lower[len(number):], "b"), "i")
	factor, known := units[unit]
	n, err := strconv.ParseFloat(number, 64)
	bytes := n * factor
	if err != nil || !known || strings.Trim(number, "0123456789.") != "" || bytes < 1 || bytes > math.MaxInt64/2 {
		return 0, fault.New(fault.Invalid, text, "read --"+flag, "%.40q is not a size above 0, like 512M or 8G", text)
	}
	return int64(bytes), nil
}

// formatSize writes bytes for a person.
func formatSize(bytes int64) string {
	value, unit := float64(bytes), 0
	for value >= 1024 && unit < len("KMGT") {
		value /= 1024
		unit++
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", bytes)
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", value), ".0") + " " + "KMGT"[unit-1:unit] + "iB"
}
