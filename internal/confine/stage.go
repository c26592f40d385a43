//go:build linux

package confine

import "errors"

func stageMain([]string) error { return errors.New("not yet") }
