// Package order is what the backend tells its worker: one VM, as JSON on the worker's
// standard input. Paths and descriptors in it are the worker's own.
//
// The backend writes it, the worker reads it, and nobody else: it is part of no format
// that outlives a process. It opens nothing.
package order

import (
	"encoding/json"
	"fmt"
	"io"
)

// Size bounds an order in bytes. It is a pipe's room on Linux (pipe(7)), so that whoever
// writes one into a pipe never waits.
const Size = 64 << 10

// Order is one VM.
type Order struct {
	Libkrun   string `json:"libkrun"`   // file
	Libkrunfw string `json:"libkrunfw"` // file

	CPUs   int      `json:"cpus"`
	Memory int64    `json:"memory"` // bytes, a multiple of 1 MiB
	Args   []string `json:"args"`   // for the kernel's command line

	Harness int    `json:"harness"` // descriptor of the guest's first program
	Disks   []Disk `json:"disks"`
	Ports   []Port `json:"ports"`
	NIC     *NIC   `json:"nic"` // nil: none

	Ready int `json:"ready"` // descriptor that gets a byte when the VM is about to run
}

// Disk is a raw image.
type Disk struct {
	Serial   string `json:"serial"`
	Path     string `json:"path"` // of a descriptor
	ReadOnly bool   `json:"read_only"`
}

// Port is a stream to the guest, a connected socket.
type Port struct {
	Name string `json:"name"`
	FD   int    `json:"fd"`
}

// NIC is the network device, and the socket of its frames.
type NIC struct {
	MAC [6]byte `json:"mac"`
	FD  int     `json:"fd"`
}

// Encode gives an order's bytes.
func (o Order) Encode() ([]byte, error) {
	text, err := json.Marshal(o)
	if err == nil && len(text) > Size {
		err = fmt.Errorf("it has %d bytes, more than %d", len(text), Size)
	}
	if err != nil {
		return nil, fmt.Errorf("order a VM: %w", err)
	}
	return text, nil
}

// Decode reads an order to its end.
func Decode(r io.Reader) (Order, error) {
	var o Order
	text, err := io.ReadAll(io.LimitReader(r, Size+1))
	if err == nil && len(text) > Size {
		err = fmt.Errorf("it has more than %d bytes", Size)
	}
	if err == nil {
		err = json.Unmarshal(text, &o)
	}
	if err != nil {
		return Order{}, fmt.Errorf("read the order: %w", err)
	}
	return o, nil
}
