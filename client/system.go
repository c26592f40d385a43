package client

import (
	"context"
	"net/http"
)

// DiskUse is what a home and its cache take of the disk, in bytes.
type DiskUse struct {
	Rows        []DiskRow `json:"rows"`
	Size        int64     `json:"size" doc:"bytes; the sum of the rows"`
	Reclaimable int64     `json:"reclaimable" doc:"bytes that a prune would free"`
	CacheShared bool      `json:"cache_shared" doc:"the cache is outside of the home: a prune leaves it alone unless told otherwise"`
}

// DiskRow is what one kind of files takes.
type DiskRow struct {
	Name        string `json:"name" doc:"like images, or instance disks"`
	Size        int64  `json:"size" doc:"bytes"`
	Reclaimable int64  `json:"reclaimable" doc:"bytes"`
	Partial     bool   `json:"partial,omitempty" doc:"it is more than that: not all could be counted"`
}

// Pruned is what a prune has removed.
type Pruned struct {
	Removed []Removed `json:"removed"`
	Freed   int64     `json:"freed" doc:"bytes"`
}

// Removed is one file or directory that is gone.
type Removed struct {
	Name string `json:"name" doc:"of its row"`
	Path string `json:"path"`
	Size int64  `json:"size" doc:"bytes"`
}

// DiskUse measures what uses the disk.
func (c *Client) DiskUse(ctx context.Context) (DiskUse, error) {
	var out DiskUse
	err := c.call(ctx, "measure the use of the disk", http.MethodGet, "/system/df", nil, &out)
	return out, err
}

// PruneSystem removes what nothing needs: never a named workspace, nor anything that
// a record refers to. A cache outside of the home is left alone, unless all.
func (c *Client) PruneSystem(ctx context.Context, all bool) (Pruned, error) {
	var out Pruned
	path := "/system/prune"
	if all {
		path += "?all=true"
	}
	err := c.call(ctx, "remove what nothing needs", http.MethodPost, path, nil, &out)
	return out, err
}
