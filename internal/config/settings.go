package config

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"aegis/internal/instance"
)

// setting is one line of the declared list.
type setting struct {
	key    string
	preset string
	doc    string
	parse  func(c *Config, text string) error
	show   func(c Config) string
}

// env is the variable that overrides the setting: AEGIS_PAUSE_AFTER for pause-after.
func (s setting) env() string {
	return "AEGIS_" + strings.ToUpper(strings.ReplaceAll(s.key, "-", "_"))
}

// Floors, in bytes. They refuse slips of the pen, not small machines: what a
// backend needs beyond them, the engine says.
const (
	minMemory  = 16 << 20
	minDisk    = 16 << 20 // an ext4 below it has no room for its own journal
	minLogSize = 1 << 20
)

// settings is every key there is. A key that nothing reads must not be here.
var settings = []setting{
	timeout("pause-after", "60s", "idle time until an instance is paused; never switches it off",
		func(c *Config) *instance.Timeout { return &c.PauseAfter }),
	timeout("stop-after", "20m", "paused time until an instance is stopped; never switches it off",
		func(c *Config) *instance.Timeout { return &c.StopAfter }),
	{"cpus", "1", "virtual processors of an instance", parseCPUs, func(c Config) string { return strconv.Itoa(c.CPUs) }},
	size("memory", "512M", "memory of an instance", minMemory, func(c *Config) *int64 { return &c.Memory }),
	size("disk", "8G", "writable disk of an instance, sparse", minDisk, func(c *Config) *int64 { return &c.Disk }),
	address("front-door", "127.0.0.1:8099", "address of NAME.localhost; off for none", func(c *Config) *string { return &c.FrontDoor }),
	address("api-listen", off, "address of the API over TCP, for who has the token in api.token; off for none",
		func(c *Config) *string { return &c.APIListen }),
	size("log-size", "100M", "log kept of each instance", minLogSize, func(c *Config) *int64 { return &c.LogSize }),
	duration("wake-timeout", "30s", "how long a connection waits until its instance is awake",
		func(c *Config) *time.Duration { return &c.WakeTimeout }),
	duration("stop-time", "10s", "time between SIGTERM and SIGKILL of a stop",
		func(c *Config) *time.Duration { return &c.StopTime }),
	duration("boot-timeout", "60s", "how long a guest may take to boot",
		func(c *Config) *time.Duration { return &c.BootTimeout }),
	word("backend", "virtual machine monitor; empty chooses by probing", func(c *Config) *string { return &c.Backend }),
	{"net", egressModes[0], "what an instance reaches: " + strings.Join(egressModes, ", "), parseNet, func(c Config) string { return c.Net }},
	{"confinement", ConfineBest, "what holds the processes that handle a guest: full, best (what this machine allows, but not nothing), off",
		parseConfinement, func(c Config) string { return c.Confinement }},
	{"templates", "true", "restore a saved VM instead of booting one: true or false", parseTemplates,
		func(c Config) string { return strconv.FormatBool(c.Templates) }},
	size("template-disk", "4G", "disk that templates may use, all together", 0, func(c *Config) *int64 { return &c.TemplateDisk }),
	{"pool-size", "1", "virtual machines that wait ahead of need, of the kind started last; 0 for none", parsePoolSize,
		func(c Config) string { return strconv.Itoa(c.PoolSize) }},
	word("image", "image of an instance; empty is the default image", func(c *Config) *string { return &c.Image }),
}

func timeout(key, preset, doc string, field func(*Config) *instance.Timeout) setting {
	return setting{key, preset, doc,
		func(c *Config, text string) (err error) { *field(c), err = ParseTimeout(text); return err },
		func(c Config) string { return FormatTimeout(*field(&c)) }}
}

func duration(key, preset, doc string, field func(*Config) *time.Duration) setting {
	return setting{key, preset, doc,
		func(c *Config, text string) (err error) { *field(c), err = ParseDuration(text); return err },
		func(c Config) string { return field(&c).String() }}
}

func size(key, preset, doc string, least int64, field func(*Config) *int64) setting {
	return setting{key, preset, doc,
		func(c *Config, text string) error {
			n, err := ParseSize(text)
			if err == nil && n < least {
				err = invalid(text, "is less than %s", FormatSize(least))
			}
			*field(c) = n
			return err
		},
		func(c Config) string { return FormatSize(*field(&c)) }}
}

func word(key, doc string, field func(*Config) *string) setting {
	return setting{key, "", doc,
		func(c *Config, text string) error { *field(c) = text; return nil },
		func(c Config) string { return *field(&c) }}
}

func parseCPUs(c *Config, text string) (err error) {
	c.CPUs, err = strconv.Atoi(text)
	if err != nil || c.CPUs < 1 {
		return invalid(text, "is not a number of processors: 1, 2, ...")
	}
	return nil
}

func parseTemplates(c *Config, text string) error {
	if text != "true" && text != "false" {
		return invalid(text, "is neither true nor false")
	}
	c.Templates = text == "true"
	return nil
}

// poolMost refuses slips of the pen: each waiting VM takes tens of MiB.
const poolMost = 64

func parsePoolSize(c *Config, text string) (err error) {
	c.PoolSize, err = strconv.Atoi(text)
	if err != nil || c.PoolSize < 0 || c.PoolSize > poolMost {
		return invalid(text, "is not a number of machines from 0 to %d", poolMost)
	}
	return nil
}

// egressModes are the words of --net, the default first; package egress says what they mean.
var egressModes = []string{"public", "lan", "none"}

func parseNet(c *Config, text string) error {
	if !slices.Contains(egressModes, text) {
		return invalid(text, "is no network: %s", strings.Join(egressModes, ", "))
	}
	c.Net = text
	return nil
}

// The words of confinement.
const (
	ConfineFull = "full" // everything, or no start
	ConfineBest = "best" // what the machine allows; no start below Landlock and a filter of system calls
	ConfineOff  = "off"
)

func parseConfinement(c *Config, text string) error {
	if !slices.Contains([]string{ConfineFull, ConfineBest, ConfineOff}, text) {
		return invalid(text, "is no confinement: full, best, off")
	}
	c.Confinement = text
	return nil
}

// off is the word for a listener that is not there.
const off = "off"

func address(key, preset, doc string, field func(*Config) *string) setting {
	return setting{key, preset, doc,
		func(c *Config, text string) (err error) { *field(c), err = parseAddress(text); return err },
		func(c Config) string {
			if *field(&c) == "" {
				return off
			}
			return *field(&c)
		}}
}

// parseAddress reads IP:PORT, localhost:PORT, or off, which is "".
func parseAddress(text string) (string, error) {
	if text == "" || text == off {
		return "", nil
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", invalid(text, "is not an address like 127.0.0.1:8099, nor off")
	}
	if _, err := netip.ParseAddr(host); err != nil && host != "localhost" {
		return "", invalid(text, "has no IP address before the port")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", invalid(text, "has no port between 0 and 65535")
	}
	return text, nil
}

// invalid says what is wrong with a value; the one who knows the key adds it.
func invalid(text, format string, args ...any) error {
	return fmt.Errorf("%.80q %s", text, fmt.Sprintf(format, args...))
}
