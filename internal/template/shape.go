package template

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// schema counts the changes of what a template is, beyond what Shape holds.
const schema = 1

// Shape is everything that shapes a template: a VM may be restored from one only if
// all of it is equal. A monitor takes some differences without a word and fails later.
type Shape struct {
	Aegis       string   `json:"aegis"` // version of this program: it says what a guest is told to prepare
	Backend     string   `json:"backend"`
	Arch        string   `json:"arch"`    // of the guest
	Version     string   `json:"version"` // of all.Version: monitor, processor, rate of its clock
	Accelerator string   `json:"accelerator"`
	Kernel      string   `json:"kernel"`            // digest
	Initrd      string   `json:"initrd"`            // digest; the harness is in it
	Harness     string   `json:"harness,omitempty"` // digest, where there is no initramfs
	Image       string   `json:"image"`             // digest of the root
	BaseType    string   `json:"base_type"`
	CPUs        int      `json:"cpus"`
	Memory      int64    `json:"memory"` // bytes
	NIC         bool     `json:"nic"`
	Ports       []string `json:"ports"` // channels, in their order
}

// Key names the template of a shape: 32 hexadecimal digits.
func (s Shape) Key() string {
	body, err := json.Marshal(struct {
		Schema int
		Shape
	}{schema, s})
	if err != nil {
		panic(fmt.Sprintf("a shape of strings and numbers can't be written: %v", err))
	}
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:16])
}
