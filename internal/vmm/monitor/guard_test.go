package monitor

import "testing"

func TestGuardRefuses(t *testing.T) {
	for _, args := range [][]string{{GuardWord}, {GuardWord, "1", "2"}, {GuardWord, "x", "200"}, {GuardWord, "200", "-1"}, {GuardWord, "200", "0"}} {
		if status, mine := GuardMain(args); status != 1 || !mine {
			t.Errorf("%q: %d, %v", args, status, mine)
		}
	}
	if _, mine := GuardMain([]string{"fs"}); mine {
		t.Error("it takes another's word")
	}
}
