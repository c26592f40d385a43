//go:build linux

package harness

import (
	"bufio"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"aegis/internal/fault"
)

// maxAccounts bounds how much of /etc/passwd and /etc/group is read, in bytes;
// maxGroups is the kernel's NGROUPS_MAX (limits.h) cut to what anybody needs.
const (
	maxAccounts = 4 << 20
	maxGroups   = 256
)

// account is who a process runs as.
type account struct {
	uid, gid uint32
	groups   []uint32
	home     string
}

// findAccount resolves USER or USER:GROUP, by name or number, in the root's own
// files, as docker does: a number need not be listed there, a name must; a given
// group replaces the supplementary ones. Empty is root.
func findAccount(spec, passwd, group string) (account, error) {
	user, groupName, hasGroup := strings.Cut(spec, ":")
	if user == "" {
		user = "0"
	}
	a, name, ok := lookUser(user, passwd)
	if !ok {
		uid, err := parseID(user)
		if err != nil {
			return account{}, fault.New(fault.Invalid, user, "", "the image has no user %q", user)
		}
		a = account{uid: uid, home: "/"}
	}
	if !hasGroup || groupName == "" {
		a.groups = memberOf(name, group)
		return a, nil
	}
	gid, ok := lookGroup(groupName, group)
	if !ok {
		return account{}, fault.New(fault.Invalid, groupName, "", "the image has no group %q", groupName)
	}
	a.gid = gid
	return a, nil
}

// lookUser finds a line of passwd(5) by name, else by number.
func lookUser(user, passwd string) (a account, name string, found bool) {
	byName := false
	eachLine(passwd, 6, func(f []string) bool {
		uid, err1 := parseID(f[2])
		gid, err2 := parseID(f[3])
		if err1 != nil || err2 != nil || f[0] == "" {
			return true
		}
		byName = f[0] == user
		if byName || !found && f[2] == user {
			a, name, found = account{uid: uid, gid: gid, home: f[5]}, f[0], true
		}
		return !byName
	})
	if found && a.home == "" {
		a.home = "/"
	}
	return a, name, found
}

// lookGroup finds a line of group(5) by name; a number stands for itself.
func lookGroup(group, file string) (gid uint32, found bool) {
	eachLine(file, 3, func(f []string) bool {
		if f[0] == group {
			if id, err := parseID(f[2]); err == nil {
				gid, found = id, true
			}
		}
		return !found
	})
	if found {
		return gid, true
	}
	id, err := parseID(group)
	return id, err == nil
}

// memberOf lists the groups that name the user.
func memberOf(name, file string) (groups []uint32) {
	if name == "" {
		return nil
	}
	eachLine(file, 4, func(f []string) bool {
		if slices.Contains(strings.Split(f[3], ","), name) {
			if id, err := parseID(f[2]); err == nil {
				groups = append(groups, id)
			}
		}
		return len(groups) < maxGroups
	})
	return groups
}

// parseID reads a uid or gid. The highest one means "none" to the kernel.
func parseID(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err == nil && n == math.MaxUint32 {
		err = strconv.ErrRange
	}
	return uint32(n), err
}

// eachLine calls f with the fields of every line that has at least want, until it
// says false. A file that is missing has no lines.
func eachLine(path string, want int, f func(fields []string) bool) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // an image may have a pipe there
	if err != nil {
		return
	}
	defer file.Close()
	lines := bufio.NewScanner(io.LimitReader(file, maxAccounts))
	lines.Buffer(nil, maxAccounts)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), ":")
		if len(fields) >= want && !f(fields) {
			return
		}
	}
}
