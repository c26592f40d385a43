package monitor

import "errors"

// guard is not needed here: the kernel ends a monitor with its owner (Start).
func guard(int, int) error { return errors.New("this system ends a monitor with its owner by itself") }
