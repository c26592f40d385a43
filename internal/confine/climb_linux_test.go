package confine

import (
	"strings"
	"syscall"
	"testing"
)

// TestClimb holds that the best rung that works is taken, and that the cause is the
// full one's.
func TestClimb(t *testing.T) {
	for _, c := range []struct {
		fails map[Rung]failure
		want  Rung
		cause string
		fix   string
	}{
		{nil, Full, "", ""},
		{map[Rung]failure{Full: {stepLandlock, syscall.EOPNOTSUPP}}, NoLandlock, "Landlock", "lsm=landlock"},
		{map[Rung]failure{Full: {stepStart, syscall.ENOSPC}, NoLandlock: {stepStart, syscall.ENOSPC}}, NoNamespaces,
			"no space left", "user.max_user_namespaces"},
		{map[Rung]failure{Full: {stepMount, syscall.EACCES}, NoLandlock: {stepMount, syscall.EACCES}}, NoNamespaces,
			"AppArmor", "apparmor_restrict_unprivileged_userns=0"},
		{map[Rung]failure{Full: {stepStart, syscall.EPERM}, NoLandlock: {}, NoNamespaces: {}}, Off, "not permitted", ""},
	} {
		var tried []Rung
		found := climb(func(r Rung) *failure {
			tried = append(tried, r)
			if f, bad := c.fails[r]; bad {
				return &f
			}
			return nil
		})
		if found.Rung != c.want || !strings.Contains(found.Cause, c.cause) || !strings.Contains(found.Fix, c.fix) || (found.Cause == "") != (c.want == Full) {
			t.Errorf("%v: %+v", c.fails, found)
		}
		if tried[0] != Full || len(tried) > 3 {
			t.Errorf("tried %v", tried)
		}
	}
}
