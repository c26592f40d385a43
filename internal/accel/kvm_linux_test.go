package accel

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSignalsAreNoRefusal has calls that signals end, as KVM_CREATE_VM is on a busy host.
func TestSignalsAreNoRefusal(t *testing.T) {
	for _, want := range []error{nil, unix.EPERM} {
		left := 3
		n, err := again(func() (int, error) {
			if left--; left > 0 {
				return 0, unix.EINTR
			}
			return 7, want
		})
		if n != 7 || !errors.Is(err, want) || left != 0 {
			t.Errorf("%d, %v, %d left; want %v", n, err, left, want)
		}
	}
}
