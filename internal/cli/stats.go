package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"aegis/client"
	"aegis/internal/config"
	"aegis/internal/fault"
)

// sampleEvery is the time over which the use of processors is measured.
const sampleEvery = time.Second

// usage is what stats prints of one instance.
type usage struct {
	ID         string  `json:"id"`
	Name       string  `json:"name"`
	State      string  `json:"state"`
	CPU        float64 `json:"cpu_percent"` // of one processor, over the last second
	CPUUsed    string  `json:"cpu_used"`    // of this life, as Go writes durations
	MemoryUsed int64   `json:"memory_used"` // bytes, on the host
	Memory     int64   `json:"memory"`
	DiskUsed   int64   `json:"disk_used"`
	Disk       int64   `json:"disk"`

	Net *client.NetUse `json:"net"` // of this life; null without a network
}

func (a *app) stats() *cobra.Command {
	var follow, asJSON bool
	cmd := &cobra.Command{Use: "stats [NAME...]", Short: "Print what instances use of processors, memory, disk and network",
		Long: "Print what instances use of processors, memory, disk and network: those that are named, or all that are\n" +
			"not STOPPED. The use of processors is measured for a second: 100% is one of them. What the network has\n" +
			"carried and refused is of this life. With --follow it goes on until Ctrl-C, every second; with --json\n" +
			"too, each line is one array.",
		RunE: a.do(func(ctx context.Context, _ *cobra.Command, args []string) error {
			return followed(ctx, follow, a.sampling(ctx, args, follow, asJSON))
		})}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on, every second")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// sampling prints once, or with follow again and again.
func (a *app) sampling(ctx context.Context, names []string, follow, asJSON bool) error {
	c, err := a.connect(ctx)
	if err != nil {
		return err
	}
	before, err := samples(ctx, c, names)
	for err == nil {
		began := time.Now()
		select {
		case <-ctx.Done():
			return &fault.Error{Kind: fault.Cancelled, What: "measure instances", Why: "it was cancelled"}
		case <-time.After(sampleEvery):
		}
		var after []client.Instance
		if after, err = samples(ctx, c, names); err != nil {
			break
		}
		used := compare(before, after, time.Since(began))
		switch {
		case asJSON && follow:
			err = json.NewEncoder(a.out).Encode(used)
		case asJSON:
			err = a.json(used)
		default:
			err = a.printUsage(used)
		}
		if !follow {
			break
		}
		before = after
	}
	return err
}

// samples are the named instances, or all that have a VM.
func samples(ctx context.Context, c *client.Client, names []string) ([]client.Instance, error) {
	all := len(names) == 0
	if all {
		list, err := c.List(ctx)
		if err != nil {
			return nil, err
		}
		for _, i := range list {
			if i.State != "STOPPED" {
				names = append(names, i.ID)
			}
		}
	}
	found := make([]*client.Instance, len(names))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(manyAtOnce)
	for k, name := range names {
		group.Go(func() error {
			i, err := c.Info(ctx, name)
			if err == nil {
				found[k] = &i
			} else if all && fault.Is(err, fault.NotFound) {
				return nil // deleted meanwhile
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var out []client.Instance
	for _, i := range found {
		if i != nil {
			out = append(out, *i)
		}
	}
	return out, nil
}

// compare gives the use between two samples. A life that began in between counts
// from its beginning.
func compare(before, after []client.Instance, took time.Duration) []usage {
	earlier := map[string]time.Duration{}
	for _, i := range before {
		earlier[i.ID], _ = time.ParseDuration(i.CPUUsed)
	}
	out := []usage{}
	for _, i := range after {
		u := usage{ID: i.ID, Name: i.Name, State: i.State, CPUUsed: or(i.CPUUsed, "0s"), MemoryUsed: i.MemoryUsed, Memory: i.Memory, DiskUsed: i.DiskUsed, Disk: i.Disk, Net: i.NetUsed}
		cpu, _ := time.ParseDuration(i.CPUUsed)
		spent := cpu - earlier[i.ID]
		if spent < 0 {
			spent = cpu
		}
		u.CPU = float64(spent.Milliseconds()*1000/max(took.Milliseconds(), 1)) / 10
		out = append(out, u)
	}
	return out
}

func (a *app) printUsage(all []usage) error {
	var rows [][]string
	for _, u := range all {
		rows = append(rows, []string{u.Name, u.State, fmt.Sprintf("%.1f%%", u.CPU), cpuTime(u.CPUUsed),
			config.HumanSize(u.MemoryUsed) + " of " + config.HumanSize(u.Memory), config.HumanSize(u.DiskUsed) + " of " + config.HumanSize(u.Disk), carried(u.Net), denied(u.Net)})
	}
	return a.table([]string{"NAME", "STATE", "CPU", "CPU TIME", "MEMORY", "DISK", "NET IN / OUT", "DENIED"}, rows)
}

// cpuTime is processor time for people, who want no nanoseconds.
func cpuTime(text string) string {
	d, err := time.ParseDuration(text)
	if err != nil {
		return text
	}
	return d.Round(10 * time.Millisecond).String()
}

// carried is what came to a guest and what it sent.
func carried(n *client.NetUse) string {
	if n == nil {
		return "-"
	}
	return config.HumanSize(int64(n.Received)) + " / " + config.HumanSize(int64(n.Sent))
}

func denied(n *client.NetUse) string {
	if n == nil {
		return "-"
	}
	return fmt.Sprint(n.Denied)
}
