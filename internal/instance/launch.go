package instance

import (
	"time"

	"aegis/internal/wire"
)

// Launch is the machine of one run, as a shim makes it. It says nothing of whose it
// is, and is written to the shim's standard input. There are three kinds:
//
//   - An ordinary run has an Assignment from the beginning. It boots, or with Template
//     is restored, and waits for its Boots.
//   - A template's maker has Save. It boots, prepares the guest, runs Programs in it,
//     leaves a template there and ends, with the exit Saved.
//   - A pooled run has Scratch, or only Disk where the backend can't put another disk in:
//     then it boots with that one, and takes an Assignment that has it Mounted and no
//     other. It is restored from Template (or boots and is prepared), runs Programs in the
//     guest, each as a command would run, and stops its processors. Then it reports Ready
//     and is nobody's, until a Boots with an Assignment comes, or it is killed.
type Launch struct {
	Run    string // ID of this life
	RunDir string // absolute, private, exists

	Backend     string // name in vmm/all
	Arch        string // of the guest, as GOARCH
	Accelerator string // as the daemon measured it: vmm.Caps.Accelerator
	Confinement string // a rung of package confine; "": none
	Kernel      string // file; not used with Template
	Initrd      string // file; not used with Template
	Harness     string // file, of a backend with a kernel of its own: then there is neither Kernel nor Initrd
	Base        string // file: read-only root image
	BaseType    string // "ext4" or "erofs"
	CPUs        int
	Memory      int64 // bytes
	NIC         bool  // it has a way to a network; an instance without one leaves it unused

	Template string // directory to restore from; "": boot. It was made of a Launch of the same shape.
	Save     string // empty directory for the template that is made; "": none is
	Scratch  string // file: an empty ext4 of this run's own, in the place of the disk until the assignment
	Disk     string // file: an empty ext4 for the first start of an instance, of a pooled run: mounted when it waits; "": none

	// Programs are run ahead, to warm their way: of a template's maker or a pooled run.
	// They are the image's own, for example `true` and `python3 -c pass`; one that is
	// missing there is left out, and no exit status matters.
	Programs [][]string

	BootTimeout time.Duration // until the harness says hello; a preparation, and each of Programs, may take as long again

	Assignment *Assignment // of an ordinary run
}

// Assignment makes a machine an instance's. It holds no secret; the environment,
// which may, is in Boots.
type Assignment struct {
	Instance  string     `json:"instance"`  // ID
	LogDir    string     `json:"log_dir"`   // absolute, exists
	LogSize   int64      `json:"log_size"`  // bytes, cap of the instance's log
	Disk      string     `json:"disk"`      // file: the instance's writable layer
	Mounted   bool       `json:"mounted"`   // the disk is the pooled run's own, Launch.Disk, wherever that is now
	Discard   bool       `json:"discard"`   // the disk is deleted with the end of this life
	Workspace *Workspace `json:"workspace"` // nil: none
	Net       *Net       `json:"net"`       // nil: none; else the machine has a NIC
	Ports     []uint16   `json:"ports"`     // of the guest, that are exposed
}

// Boots is the message that starts the command: it holds secrets, goes to the
// shim over its socket and on to the guest, and is never written anywhere. The shim
// puts in what only the last moment knows: the clock and the network.
type Boots struct {
	Start      wire.Start  `json:"start"`
	Secrets    []string    `json:"secrets"`              // which names of Start.BaseEnv are secrets: the log hides their values
	Attached   bool        `json:"attached"`             // the connection carries the command's frames
	Assignment *Assignment `json:"assignment,omitempty"` // of a pooled run, which is this instance's from now on
}

// Serial numbers by which a guest finds its disks.
const (
	SerialBase = "aegis-base"
	SerialDisk = "aegis-disk"
)
