package resolve

import (
	"bufio"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The host's files.
const (
	confFile  = "/etc/resolv.conf"
	hostsFile = "/etc/hosts"
)

// Bounds of what is taken from them, as glibc has for servers (resolv.conf(5)).
const (
	maxServers = 3
	maxSearch  = 16
	maxHosts   = 10_000
	maxLine    = 64 << 10 // bytes
)

// Conf is what a guest may share of the host's resolv.conf.
type Conf struct {
	Servers []netip.AddrPort
	Search  []string
	Options []string // ndots and the like
}

// cached is a file's content as of its last change.
type cached[T any] struct {
	at    time.Time
	size  int64
	value T
}

// Settings is the host's resolv.conf as it is now.
func (h *Host) Settings() Conf {
	conf, _ := h.read()
	return conf
}

// Files are what a process has to be allowed to read to follow them: the two files, and
// where one is a link that leads elsewhere, the directory in which it is replaced.
func (h *Host) Files() []string {
	var list []string
	for _, path := range []string{or(h.Conf, confFile), or(h.Hosts, hostsFile)} {
		list = append(list, path)
		if real, err := filepath.EvalSymlinks(path); err == nil && filepath.Dir(real) != filepath.Dir(path) {
			list = append(list, filepath.Dir(real))
		}
	}
	return list
}

// read gives both files' content, read again when they have changed. A file that
// is not there is empty; one that may not be read any more stays as it was.
func (h *Host) read() (Conf, map[string][]netip.Addr) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conf.refresh(or(h.Conf, confFile), parseConf)
	h.file.refresh(or(h.Hosts, hostsFile), parseHosts)
	return h.conf.value, h.file.value
}

func or(given, otherwise string) string {
	if given == "" {
		return otherwise
	}
	return given
}

func (c *cached[T]) refresh(path string, parse func(*bufio.Scanner) T) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrPermission) {
		return
	}
	if err != nil {
		*c = cached[T]{}
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.ModTime().Equal(c.at) && info.Size() == c.size {
		return
	}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, maxLine)
	*c = cached[T]{info.ModTime(), info.Size(), parse(lines)}
}

// parseConf reads resolv.conf(5): the last search or domain counts, and without a
// server there is one on this host.
func parseConf(lines *bufio.Scanner) Conf {
	var c Conf
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "nameserver":
			if a, err := netip.ParseAddr(words[1]); err == nil && len(c.Servers) < maxServers {
				c.Servers = append(c.Servers, netip.AddrPortFrom(a, 53))
			}
		case "search", "domain":
			c.Search = words[1:min(len(words), 1+maxSearch)]
		case "options":
			c.Options = words[1:min(len(words), 1+maxSearch)]
		}
	}
	if len(c.Servers) == 0 {
		c.Servers = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:53")}
	}
	return c
}

// parseHosts reads hosts(5), by name, without what names the host itself: its
// loopback is not the guest's.
func parseHosts(lines *bufio.Scanner) map[string][]netip.Addr {
	hosts := map[string][]netip.Addr{}
	for lines.Scan() && len(hosts) < maxHosts {
		text, _, _ := strings.Cut(lines.Text(), "#")
		words := strings.Fields(text)
		if len(words) < 2 {
			continue
		}
		a, err := netip.ParseAddr(words[0])
		if err != nil || a.IsLoopback() || a.IsMulticast() || a.IsUnspecified() || a.Zone() != "" {
			continue
		}
		for _, name := range words[1:] {
			name = strings.ToLower(strings.TrimSuffix(name, "."))
			hosts[name] = append(hosts[name], a)
		}
	}
	return hosts
}
