package vmm

import "errors"

// ErrClosed is what VM.Err says after Close, and what the other methods answer then.
var ErrClosed = errors.New("the VM was closed")

// ErrEnded is what a VM's methods answer when its monitor has ended by itself.
var ErrEnded = errors.New("the VM has ended")
