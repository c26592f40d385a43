package monitor

import (
	"fmt"
	"os"
	"strconv"
)

// GuardWord is the first argument of a program that GuardMain serves.
const GuardWord = "guard"

// GuardMain is the part of a program that ends a monitor with its owner, on systems whose
// kernel does not: `PROGRAM guard OWNER MONITOR`, two process IDs. It returns when one of
// them has ended. Without its word first it returns false, and has done nothing.
func GuardMain(args []string) (status int, mine bool) {
	if len(args) == 0 || args[0] != GuardWord {
		return 0, false
	}
	err := fmt.Errorf("%s needs two process IDs", GuardWord)
	if len(args) == 3 {
		owner, bad := strconv.Atoi(args[1])
		pid, worse := strconv.Atoi(args[2])
		if bad == nil && worse == nil && owner > 1 && pid > 1 {
			err = guard(owner, pid)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1, true
	}
	return 0, true
}
