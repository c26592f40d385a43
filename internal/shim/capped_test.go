package shim

import (
	"bytes"
	"testing"
)

func TestCapped(t *testing.T) {
	var kept bytes.Buffer
	c := &capped{w: &kept, left: 5}
	for _, text := range []string{"abc", "defg", "h"} {
		if n, err := c.Write([]byte(text)); n != len(text) || err != nil {
			t.Errorf("write %q: %d, %v", text, n, err)
		}
	}
	if kept.String() != "abcde" {
		t.Errorf("kept %q", kept.String())
	}
}
