package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"aegis/internal/fault"
	"aegis/internal/instance"
	"aegis/internal/paths"
)

func none(string) string { return "" }

// load reads a configuration file of this text.
func load(t *testing.T, text string, env map[string]string) (Config, string, error) {
	t.Helper()
	home := paths.Home{Dir: t.TempDir()}
	if err := os.WriteFile(home.Config(), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(home, func(name string) string { return env[name] })
	return c, home.Config(), err
}

func TestDefaults(t *testing.T) {
	c, err := Load(paths.Home{Dir: filepath.Join(t.TempDir(), "none")}, none)
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		PauseAfter: instance.Timeout(60 * time.Second), StopAfter: instance.Timeout(20 * time.Minute),
		CPUs: 1, Memory: 512 << 20, Disk: 8 << 30, FrontDoor: "127.0.0.1:8099", LogSize: 100 << 20,
		WakeTimeout: 30 * time.Second, StopTime: 10 * time.Second, BootTimeout: 60 * time.Second, Net: "public", Confinement: "best",
		Templates: true, TemplateDisk: 4 << 30, PoolSize: 1,
		origins: c.origins,
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
}

// TestEveryField holds that the list has a setting for each field of Config, and
// that file and variable reach it.
func TestEveryField(t *testing.T) {
	text := map[string]string{"pause-after": "7s", "stop-after": "7s", "cpus": "7", "memory": "77M", "disk": "77M",
		"front-door": "[::1]:7", "api-listen": "127.0.0.1:7", "log-size": "77M", "wake-timeout": "7s", "stop-time": "7s", "boot-timeout": "7s",
		"backend": "seven", "image": "seven", "net": "lan", "confinement": "off",
		"templates": "false", "template-disk": "77M", "pool-size": "7"}
	if fields := reflect.TypeFor[Config]().NumField() - 1; fields != len(settings) || len(text) != fields {
		t.Fatalf("%d fields, %d settings, %d tried", fields, len(settings), len(text))
	}
	var file strings.Builder
	env := map[string]string{}
	for i, s := range settings {
		fmt.Fprintf(&file, "%s = %q\n", s.key, text[s.key])
		env[s.env()] = text[s.key]
		if s.doc == "" || i > 0 && s.key == settings[i-1].key {
			t.Errorf("setting %q", s.key)
		}
	}
	byFile, path, err := load(t, file.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	byEnv, _, err := load(t, "", env)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []Config{byFile, byEnv} {
		v, preset := reflect.ValueOf(c), reflect.ValueOf(Default())
		for i := range len(settings) {
			if reflect.DeepEqual(v.Field(i).Interface(), preset.Field(i).Interface()) {
				t.Errorf("%s kept its default", v.Type().Field(i).Name)
			}
		}
	}
	for i, v := range byFile.Values() {
		if v.Value != text[v.Key] || v.Origin != fmt.Sprintf("%s:%d", path, i+1) {
			t.Errorf("by file: %+v", v)
		}
	}
	for _, v := range byEnv.Values() {
		if v.Value != text[v.Key] || v.Origin != v.Env {
			t.Errorf("by variable: %+v", v)
		}
	}
}

func TestVariableOverridesFile(t *testing.T) {
	c, _, err := load(t, "cpus = 2\nmemory = 1073741824\n\n# why\nfront-door = \"\"\npause-after = 0",
		map[string]string{"AEGIS_CPUS": "3"})
	if err != nil || c.CPUs != 3 || c.Memory != 1<<30 || c.FrontDoor != "" || c.PauseAfter != 0 {
		t.Fatalf("%+v, %v", c, err)
	}
}

// TestTruth reads a TOML boolean as the word.
func TestTruth(t *testing.T) {
	if c, _, err := load(t, "templates = false\n", nil); err != nil || c.Templates {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestRefusals(t *testing.T) {
	for text, want := range map[string]string{
		"cpus = 1\n\npuase-after = \"1s\"\n":        `:3: unknown key "puase-after"`,
		"# c\n[network]\ncpus = 1\n":                `:2: unknown key "[network]"`,
		"a.cpus = 1\n":                              `:1: unknown key "a.cpus"`,
		"cpus = 1\ncpus = 2\n":                      `cpus`,
		"cpus = 1\ncpus\n":                          `:2`,
		"\nmemory = \"lots\"\n":                     `:2: memory: "lots" is not a size`,
		"memory = 1\n":                              `:1: memory: "1" is less than 16M`,
		"cpus = 0\n":                                `:1: cpus: "0"`,
		"cpus = 1.5\n":                              `:1: cpus: it takes a string, a whole number, true or false`,
		"templates = 1\n":                           `:1: templates: "1" is neither true nor false`,
		"pool-size = 65\n":                          `:1: pool-size: "65"`,
		"pool-size = -1\n":                          `:1: pool-size: "-1"`,
		"cpus = [1]\n":                              `:1: cpus: it takes`,
		"wake-timeout = \"never\"\n":                `:1: wake-timeout: "never" is not a duration`,
		"stop-after = \"-1s\"\n":                    `:1: stop-after:`,
		"api-listen = \"9000\"\n":                   `:1: api-listen:`,
		"api-listen = \"box:9000\"\n":               `:1: api-listen:`,
		"front-door = \"8099\"\n":                   `:1: front-door:`,
		"front-door = \"example.com:80\"\n":         `:1: front-door:`,
		"front-door = \"127.0.0.1:99999\"\n":        `:1: front-door:`,
		"image = \"\xff\"\n":                        `:1`,
		strings.Repeat("# comment\n", maxFile/10+1): `bytes`,
	} {
		_, path, err := load(t, text, nil)
		if !fault.Is(err, fault.Config) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%.40q: got %v, want %q", text, err, want)
		}
	}
}

func TestRefusesVariable(t *testing.T) {
	_, _, err := load(t, "", map[string]string{"AEGIS_DISK": "big"})
	if !fault.Is(err, fault.Config) || !strings.Contains(err.Error(), "AEGIS_DISK") {
		t.Fatal(err)
	}
}

func TestUnreadableFile(t *testing.T) {
	home := paths.Home{Dir: t.TempDir()}
	if err := os.Mkdir(home.Config(), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(home, none); !fault.Is(err, fault.Config) {
		t.Fatal(err)
	}
}

func FuzzFile(f *testing.F) {
	f.Add([]byte("cpus = 2\nmemory = \"1G\"\n"))
	f.Add([]byte("[a]\n[[b]]\nc.\"d\" = {e = 1}\n"))
	f.Add([]byte("image = '''\nx'''\n\"cpus\" = 0x10"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c := Default()
		if err := c.readText("f", text); err != nil {
			if !fault.Is(err, fault.Config) {
				t.Fatal(err)
			}
			return
		}
		for _, v := range c.Values() {
			if v.Origin == "" {
				t.Fatalf("%s has no origin", v.Key)
			}
		}
	})
}
