package image

import (
	"bufio"
	"os"
	"os/user"
	"strconv"
	"strings"

	"aegis/internal/fault"
)

// subordinate checks that a user has subordinate IDs (subuid(5)) enough for a
// Debian root, whose IDs end at 65534.
func subordinate(path string, uid int) error {
	name := strconv.Itoa(uid)
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	f, err := os.Open(path)
	if err == nil {
		defer f.Close()
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			fields := strings.Split(lines.Text(), ":")
			if len(fields) != 3 || (fields[0] != name && fields[0] != strconv.Itoa(uid)) {
				continue
			}
			if n, err := strconv.Atoi(fields[2]); err == nil && n >= 65536 {
				return nil
			}
		}
	}
	return fault.New(fault.AssetMissing, DefaultName, "make default image",
		"user %s has no 65536 subordinate IDs in %s; run: sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 %s", name, path, name)
}
