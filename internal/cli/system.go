package cli

import (
	"context"

	"github.com/spf13/cobra"

	"aegis/client"
	"aegis/internal/config"
)

func (a *app) systemDF() *cobra.Command {
	asJSON := false
	cmd := &cobra.Command{Use: "df", Short: "Print what uses the disk", Args: a.none,
		RunE: a.do(func(ctx context.Context, _ *cobra.Command, _ []string) error {
			c, err := a.connect(ctx)
			if err != nil {
				return err
			}
			shown := a.waiting()
			use, err := c.DiskUse(ctx)
			shown.stop()
			switch {
			case err != nil:
				return err
			case asJSON:
				return a.json(use)
			}
			return a.printDiskUse(use)
		})}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (a *app) printDiskUse(use client.DiskUse) error {
	var rows [][]string
	for _, r := range use.Rows {
		size := config.HumanSize(r.Size)
		if r.Partial {
			size = "over " + size
		}
		rows = append(rows, []string{r.Name, size, config.HumanSize(r.Reclaimable)})
	}
	rows = append(rows, []string{"total", config.HumanSize(use.Size), config.HumanSize(use.Reclaimable)})
	if err := a.table([]string{"WHAT", "SIZE", "RECLAIMABLE"}, rows); err != nil {
		return err
	}
	if use.CacheShared {
		a.note("the cache may serve other homes: to prune it too, run: aegis system prune --all")
	}
	return nil
}

func (a *app) systemPrune() *cobra.Command {
	var all, asJSON bool
	cmd := &cobra.Command{Use: "prune", Short: "Remove what nothing needs",
		Long: "Remove what nothing needs, and print it: blank disks of sizes that no instance has, images and kernels\n" +
			"that newer ones have replaced, work that was left unfinished a day ago, and directories of instances,\n" +
			"runs and temporary workspaces that no record knows. Named workspaces stay, and so does what is in use.",
		Args: a.none,
		RunE: a.do(func(ctx context.Context, _ *cobra.Command, _ []string) error {
			c, err := a.connect(ctx)
			if err != nil {
				return err
			}
			shown := a.waiting()
			gone, err := c.PruneSystem(ctx, all)
			shown.stop()
			switch {
			case err != nil:
				return err
			case asJSON:
				return a.json(gone)
			}
			return a.printPruned(gone)
		})}
	cmd.Flags().BoolVar(&all, "all", false, "also from a cache outside of the home (AEGIS_CACHE), which other homes may use")
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (a *app) printPruned(gone client.Pruned) error {
	if len(gone.Removed) == 0 {
		a.note("there is nothing to remove")
		return nil
	}
	var rows [][]string
	for _, r := range gone.Removed {
		rows = append(rows, []string{r.Name, config.HumanSize(r.Size), r.Path})
	}
	err := a.table([]string{"WHAT", "SIZE", "PATH"}, rows)
	a.note("freed %s", config.HumanSize(gone.Freed))
	return err
}
