package router

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// socket is one line of /proc/net/tcp or tcp6 (proc_pid_net(5)).
type socket struct {
	ip        netip.Addr
	port      uint16
	listening bool
	uid       string
	inode     string
}

// process says which process has a port bound on an overlapping address, by
// command and pid where /proc lets us see its descriptors, else by user; "" when
// there is none.
func process(addr netip.Addr, port uint16) string {
	var found *socket
	for _, file := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		for _, s := range sockets(file) {
			if s.port != port || !overlap(s.ip, addr) {
				continue
			}
			if found == nil || s.listening && !found.listening {
				found = &s
			}
		}
	}
	if found == nil {
		return ""
	}
	if pid := opener(found.inode); pid != "" {
		comm, _ := os.ReadFile("/proc/" + pid + "/comm")
		return fmt.Sprintf("%s (pid %s)", printable(strings.TrimSpace(string(comm))), pid)
	}
	name := "uid " + found.uid
	if u, err := user.LookupId(found.uid); err == nil {
		name = u.Username
	}
	return "a process of user " + name
}

// printable is the name of a process as a message can hold it: any process may
// call itself anything.
func printable(s string) string {
	quoted := strconv.Quote(s)
	return quoted[1 : len(quoted)-1]
}

// sockets reads one table; what can't be read is empty.
func sockets(file string) []socket {
	f, err := os.Open(file)
	if err != nil {
		return nil
	}
	defer f.Close()
	var all []socket
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if s, ok := parseSocket(lines.Text()); ok {
			all = append(all, s)
		}
	}
	return all
}

// parseSocket reads one line: slot, local address, remote address, state, two
// pairs, a count, uid, timeout, inode. State 0A is LISTEN (net/tcp_states.h).
func parseSocket(line string) (socket, bool) {
	f := strings.Fields(line)
	if len(f) < 10 {
		return socket{}, false
	}
	host, port, ok := strings.Cut(f[1], ":")
	if !ok {
		return socket{}, false
	}
	raw, err := hex.DecodeString(host)
	if err != nil || len(raw) != 4 && len(raw) != 16 {
		return socket{}, false
	}
	p, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return socket{}, false
	}
	for word := range slices.Chunk(raw, 4) { // each 32-bit word is in the host's order: little-endian on amd64 and arm64
		slices.Reverse(word)
	}
	ip, _ := netip.AddrFromSlice(raw)
	return socket{ip: ip.Unmap(), port: uint16(p), listening: f[3] == "0A", uid: f[7], inode: f[9]}, true
}

// opener finds the process that has the socket open, as far as permissions allow.
func opener(inode string) string {
	want := "socket:[" + inode + "]"
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/[0-9]*")
	for _, fd := range fds {
		if link, err := os.Readlink(fd); err == nil && link == want {
			return strings.Split(fd, "/")[2]
		}
	}
	return ""
}
