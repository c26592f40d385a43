package firecracker

// The bodies of the requests that are sent. Unknown fields are refused by the monitor,
// so they name what every release since oldest has.

// machineConfig is for PUT /machine-config.
type machineConfig struct {
	VCPUs  int   `json:"vcpu_count"`
	Memory int64 `json:"mem_size_mib"`
	SMT    bool  `json:"smt"`
}

// bootSource is for PUT /boot-source.
type bootSource struct {
	Kernel string `json:"kernel_image_path"`
	Initrd string `json:"initrd_path"`
	Args   string `json:"boot_args"`
}

// drive is for PUT /drives/ID.
type drive struct {
	ID       string `json:"drive_id"`
	Path     string `json:"path_on_host"`
	Root     bool   `json:"is_root_device"`
	ReadOnly bool   `json:"is_read_only"`
	Cache    string `json:"cache_type"`
}

// drivePatch is for PATCH /drives/ID.
type drivePatch struct {
	ID   string `json:"drive_id"`
	Path string `json:"path_on_host"`
}

// writeback passes the guest's flushes on to the host's disk. The default drops them.
const writeback = "Writeback"

// vsock is for PUT /vsock.
type vsock struct {
	CID  uint32 `json:"guest_cid"`
	Path string `json:"uds_path"`
}

// guestCID is any number that no host has (vsock(7)); every VM has its own host.
const guestCID = 3

// action is for PUT /actions.
type action struct {
	Type string `json:"action_type"`
}

// vmState is for PATCH /vm.
type vmState struct {
	State string `json:"state"`
}

// snapshotCreate is for PUT /snapshot/create.
type snapshotCreate struct {
	Type   string `json:"snapshot_type"`
	State  string `json:"snapshot_path"`
	Memory string `json:"mem_file_path"`
}

// snapshotLoad is for PUT /snapshot/load.
type snapshotLoad struct {
	State  string        `json:"snapshot_path"`
	Memory memoryBackend `json:"mem_backend"`
	Resume bool          `json:"resume_vm"`
}

// memoryBackend is where a restored VM's memory comes from.
type memoryBackend struct {
	Type string `json:"backend_type"`
	Path string `json:"backend_path"`
}
