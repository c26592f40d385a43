package vmm

import "errors"

// ErrClosed is what VM.Err says after Close, and what the other methods answer then.
var ErrClosed = errors.New("the VM was closed")

// ErrEnded is what a VM's methods answer when its monitor has ended by itself.
var ErrEnded = errors.New("the VM has ended")

// ErrTemplate is in Restore's error when the template is to blame, so that no other
// Restore will do better: it is of another host's clock, damaged, or gone.
var ErrTemplate = errors.New("the template can't be used")
