package confine

// Need is something of the host that a program can't be without: it stays where it is,
// and where it is missing it is left out.
type Need struct {
	Path string   `json:"path"` // absolute
	Kind NeedKind `json:"kind"`
}

// NeedKind is what may be done with it.
type NeedKind string

// The kinds. Nothing but a device can be written.
const (
	Read      NeedKind = "read"      // files to read
	Libraries NeedKind = "libraries" // to load code from
	Run       NeedKind = "run"       // a program
	Device    NeedKind = "device"    // a device file to use
)
