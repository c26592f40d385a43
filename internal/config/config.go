// Package config reads AEGIS_HOME/config.toml and the AEGIS_… variables: every
// default that a user may change, each declared once in settings. The daemon
// loads it at its start; the CLI prints it and uses its parsers of sizes and
// durations for flags, which override it.
//
// It never writes, and it holds no secret.
package config

import (
	"fmt"
	"time"

	"aegis/internal/instance"
	"aegis/internal/paths"
)

// Config is the effective settings. Sizes are in bytes.
type Config struct {
	PauseAfter  instance.Timeout // idle time until PAUSED
	StopAfter   instance.Timeout // paused time until STOPPED
	CPUs        int
	Memory      int64
	Disk        int64         // of an instance's writable layer
	FrontDoor   string        // "host:port", or "" for none
	APIListen   string        // "host:port" of the API over TCP, or "" for none
	LogSize     int64         // cap of one instance's log
	WakeTimeout time.Duration // how long a connection waits for its instance
	StopTime    time.Duration // between SIGTERM and SIGKILL
	BootTimeout time.Duration // until the harness says hello
	Backend     string        // "": chosen by probing
	Image       string        // "": the default image
	Net         string        // a word of --net
	Confinement string        // ConfineFull, ConfineBest or ConfineOff

	Templates    bool  // starts are made from templates
	TemplateDisk int64 // cap of all templates together
	PoolSize     int   // VMs that wait ahead of need

	origins map[string]string
}

// Value is one setting as `aegis config` shows it.
type Value struct {
	Key    string // in config.toml
	Env    string // the variable that overrides it
	Value  string // in the form that config.toml takes
	Origin string // "default", "FILE:LINE" or the variable's name
	Doc    string
}

// Default is the configuration of a user who has changed nothing.
func Default() Config {
	c := Config{origins: map[string]string{}}
	for _, s := range settings {
		if err := s.parse(&c, s.preset); err != nil {
			panic(fmt.Sprintf("default of %s: %v", s.key, err)) // held by a test
		}
		c.origins[s.key] = originDefault
	}
	return c
}

const originDefault = "default"

// Load is Default, changed by home's config.toml where there is one, changed by
// the variables that getenv knows; an empty variable counts as unset. What can't
// be right is a fault.Config that names the file and line, or the variable.
func Load(home paths.Home, getenv func(string) string) (Config, error) {
	c := Default()
	if err := c.readFile(home.Config()); err != nil {
		return Config{}, err
	}
	for _, s := range settings {
		text := getenv(s.env())
		if text == "" {
			continue
		}
		if err := s.parse(&c, text); err != nil {
			return Config{}, refuse(s.env(), "%s: %w", s.env(), err)
		}
		c.origins[s.key] = s.env()
	}
	return c, nil
}

// Values lists every setting in the order of the documents.
func (c Config) Values() []Value {
	out := make([]Value, 0, len(settings))
	for _, s := range settings {
		out = append(out, Value{Key: s.key, Env: s.env(), Value: s.show(c), Origin: c.origins[s.key], Doc: s.doc})
	}
	return out
}
