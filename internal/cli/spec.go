package cli

import (
	"github.com/spf13/cobra"
	"slices"

	"aegis/client"
	"aegis/internal/fault"
	"aegis/internal/instance"
)

// Values of --pull.
const pullAlways, pullMissing, pullNever = "always", "missing", "never"

// spec are the flags of run and instance start that make an instance.
type spec struct {
	client.Create
	workspace, memory, disk string
	env, envFiles, labels   []string
	pull                    string
}

// bind declares them.
func (s *spec) bind(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.Name, "name", "", "its name; default: generated")
	f.StringVar(&s.Image, "image", "", "its root file system: a `REFERENCE`, an imported image's name, or a digest; default: as configured, else Aegis's own")
	f.StringVar(&s.Platform, "platform", "", "`OS/ARCH` of its programs: linux/amd64 or linux/arm64; default: this machine's. Another is emulated")
	f.StringVar(&s.pull, "pull", pullMissing, "`WHEN` to fetch its image: always, missing or never")
	f.StringVar(&s.workspace, "workspace", "", "`PATH|NAME[:ro]` to mount at /workspace: ./dir, /dir, or a named one")
	f.StringArrayVarP(&s.Expose, "expose", "p", nil, "`[[IP:]HOST:]GUEST[/http|/tcp]` to reach from the host (many)")
	f.StringArrayVar(&s.Secrets, "secret", nil, "`NAME` of a stored secret for its environment, '*' for all (many)")
	f.StringArrayVarP(&s.env, "env", "e", nil, "`K=V`, or K to take this environment's value (many)")
	f.StringArrayVar(&s.envFiles, "env-file", nil, "`FILE` of such lines (many)")
	f.StringVarP(&s.Workdir, "workdir", "w", "", "`DIR` to run in; default: /workspace if there is one")
	f.StringVarP(&s.User, "user", "u", "", "`USER` to run as; default: root")
	f.IntVar(&s.CPUs, "cpus", 0, "processors; default: as configured")
	f.StringVarP(&s.memory, "memory", "m", "", "`SIZE`, like 512M; default: as configured")
	f.StringVar(&s.disk, "disk", "", "`SIZE` of its writable disk, like 8G; default: as configured")
	f.StringVar(&s.PauseAfter, "pause-after", "", "`TIME` of idling until it pauses, like 60s; 0 or never")
	f.StringVar(&s.StopAfter, "stop-after", "", "`TIME` of being paused until it stops, like 20m; 0 or never")
	f.StringVar(&s.Restart, "restart", "", "start it again when its command ends: no, on-failure or always")
	f.StringVar(&s.Net, "net", "", "what it reaches: public addresses, the lan too, or none; default: as configured")
	f.StringArrayVar(&s.AllowHosts, "allow-host", nil, "`NAME` it may reach, or *.NAME for all below NAME, and nothing that is not listed (many)")
	f.StringArrayVar(&s.AllowCIDRs, "allow-cidr", nil, "`RANGE` of addresses it may reach, as --allow-host (many)")
	f.StringArrayVar(&s.labels, "label", nil, "`K=V` to find it by (many)")
	f.BoolVar(&s.NoTemplate, "no-template", false, "boot it: neither use nor make what was saved of others like it")
	f.StringVar(&s.Backend, "backend", "", "virtual machine monitor; default: chosen by probing")
}

// create checks what can be checked here, before anything changes, and is what
// the daemon gets.
func (s *spec) create(a *app, cmd *cobra.Command, command []string) (client.Create, error) {
	c := s.Create
	c.Command = command
	for _, text := range c.Expose {
		if _, err := instance.ParseExpose(text); err != nil {
			return c, err
		}
	}
	var err error
	if c.Workspace, err = parseWorkspace(s.workspace); err != nil {
		return c, err
	}
	if c.Env, err = a.environment(s.envFiles, s.env); err != nil {
		return c, err
	}
	if c.Labels, err = parseLabels(s.labels); err != nil {
		return c, err
	}
	if c.Memory, err = sizeFlag("memory", s.memory); err != nil {
		return c, err
	}
	if c.Disk, err = sizeFlag("disk", s.disk); err != nil {
		return c, err
	}
	if c.Platform, err = checkPlatform(s.Platform); err != nil {
		return c, err
	}
	if cmd.Flags().Changed("cpus") && c.CPUs < 1 {
		return c, fault.New(fault.Invalid, "", "read --cpus", "%d is less than 1", c.CPUs)
	}
	if !slices.Contains(flagWords["pull"], s.pull) {
		return c, fault.New(fault.Invalid, "", "read --pull", "%.40q is not always, missing or never", s.pull)
	}
	if cmd.Flags().Changed("net") && !slices.Contains(flagWords["net"], c.Net) {
		return c, fault.New(fault.Invalid, "", "read --net", "%.40q is not public, lan or none", c.Net)
	}
	if c.Restart != "" && !slices.Contains(flagWords["restart"], c.Restart) {
		return c, fault.New(fault.Invalid, "", "read --restart", "%.40q is not no, on-failure or always", c.Restart)
	}
	return c, nil
}
