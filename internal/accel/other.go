//go:build !(linux && amd64) && !darwin

package accel

import (
	"context"
	"runtime"
)

const device = ""

// trial knows no way to measure here.
func trial(context.Context) Result {
	return Result{Reason: "hardware virtualization is not measured on " + runtime.GOOS + "/" + runtime.GOARCH + " yet"}
}
