package wire

import (
	"encoding/binary"
	"testing"
)

func TestOwner(t *testing.T) {
	want := Owner{1000, 1<<32 - 2}
	m := want.Message()
	if n := binary.NativeEndian.Uint32(m); int(n) != len(m) || binary.NativeEndian.Uint32(m[4:]) != OpOwner {
		t.Errorf("header %v of %d bytes", m[:8], len(m))
	}
	if got, ok := ReadOwner(m[40:]); got != want || !ok {
		t.Errorf("%+v, %v", got, ok)
	}
	if _, ok := ReadOwner(m[41:]); ok {
		t.Error("a short one is read")
	}
}
