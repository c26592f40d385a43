package qemu

import "sync"

// tscKHz is the host's TSC rate, which under TCG is the guest's, in kHz; 0 where
// there is none. It is measured once a process.
var tscKHz = sync.OnceValue(measureTSC)
