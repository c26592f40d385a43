//go:build !darwin && !(linux && (amd64 || arm64))

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
