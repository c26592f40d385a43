package wire

// Prepare brings a VM that was just booted to where a template can be made of it: what
// is the same for each instance is mounted and loaded, and Programs have run, so that
// the kernel remembers their files. Afterwards nothing runs but the harness and a
// process of its own that waits for a workspace, and nothing is mounted that keeps a byte.
type Prepare struct {
	Seed     []byte     `json:"seed"` // as Start's; a template's own is nobody else's
	Base     string     `json:"base"` // as Root's
	BaseType string     `json:"base_type"`
	Network  *Network   `json:"network,omitempty"`  // joined ahead; of a TAP the drivers are loaded
	Programs [][]string `json:"programs,omitempty"` // one that is missing is left out
}

// Start gives the VM its identity, its disks, its workspace and its command, in
// one message. Secrets are already in Main.Env and Secrets is what execs inherit.
type Start struct {
	Seed      []byte            `json:"seed"` // 32 bytes for the kernel's random pool
	Clock     Clock             `json:"clock"`
	Hostname  string            `json:"hostname"`
	MachineID string            `json:"machine_id"` // 32 lower-case hex digits, machine-id(5)
	Root      Root              `json:"root"`
	Workspace *Workspace        `json:"workspace,omitempty"`
	Network   *Network          `json:"network,omitempty"`  // nil: loopback only
	BaseEnv   map[string]string `json:"base_env,omitempty"` // what Main and every exec inherit, secrets included
	Main      Process           `json:"main"`
	Self      *Self             `json:"self,omitempty"` // nil: the guest has no socket to ask at
}

// Root says which block devices, by virtio serial number, make the root.
type Root struct {
	Base     string `json:"base"`           // read-only image
	Disk     string `json:"disk"`           // the instance's own ext4, upper layer
	Size     int64  `json:"size,omitempty"` // of Disk, bytes: one that was put in just now is waited for; 0: as it is
	BaseType string `json:"base_type"`      // "ext4" or "erofs"
}

// Ahead is what of a start can be done before it is known whose it will be. A Start that
// names another root is refused; of the network only what differs is done again.
type Ahead struct {
	Root     Root       `json:"root"`
	Network  *Network   `json:"network,omitempty"`
	Programs [][]string `json:"programs,omitempty"` // each is run, and can write nothing
}

// Workspace is served over the fs channel as raw FUSE messages (linux/fuse.h). In a
// rehearsal it is an empty directory, which the guest itself serves.
type Workspace struct {
	ReadOnly bool `json:"read_only"`
}

// Network is the guest's one interface beside its loopback, eth0. Addresses are
// static: nothing answers DHCP or router solicitations.
type Network struct {
	MAC       string   `json:"mac"`
	MTU       int      `json:"mtu"`       // bytes, without the Ethernet header
	TAP       bool     `json:"tap"`       // the frames go over the net channel, since the VM has no device
	Addresses []string `json:"addresses"` // with prefix lengths, "192.0.2.2/30"
	Gateways  []string `json:"gateways"`  // a default route of each family
	Servers   []string `json:"servers"`   // for resolv.conf
	Search    []string `json:"search,omitempty"`
	Options   []string `json:"options,omitempty"`
	Ingress   *Ingress `json:"ingress,omitempty"` // nil: the host's streams come over the link
}

// Ingress is how streams of the host's come over the network to ports of the guest's
// loopback: from 127.0.0.1 and a port between First and Last.
type Ingress struct {
	Ports []uint16 `json:"ports"`
	First uint16   `json:"first"`
	Last  uint16   `json:"last"`
}
