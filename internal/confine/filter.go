//go:build linux

package confine

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// filter is a list of rules for system calls, the first that fits decides.
type filter struct {
	newest uintptr // calls with a higher number are as if the kernel had none; 0: no bound
	rules  []rule
	rest   uint32 // the answer to what no rule fits: a SECCOMP_RET_ value
}

// rule fits a call whose conditions all hold.
type rule struct {
	call uintptr
	when []cond
	then uint32
}

// cond is an argument of a call: arg & mask == value, in 64 bits. The kernel reads
// some arguments as 32 bits; a rule that refuses must leave out the upper ones then.
type cond struct {
	arg         int
	mask, value uint64
}

// equal is an argument of just this value.
func equal(arg int, value uint64) cond { return cond{arg, ^uint64(0), value} }

// Offsets in struct seccomp_data (linux/seccomp.h).
const (
	offCall = 0
	offArch = 4
	offArgs = 16
)

// compile makes the program. A call of another architecture's table ends the process:
// its numbers mean something else.
func (f filter) compile() ([]unix.SockFilter, error) {
	p := []unix.SockFilter{
		load(offArch), jump(unix.BPF_JEQ, auditArch, 1, 0), ret(unix.SECCOMP_RET_KILL_PROCESS),
		load(offCall), jump(unix.BPF_JGE, foreignCalls, 0, 1), ret(unix.SECCOMP_RET_KILL_PROCESS),
	}
	if f.newest != 0 {
		p = append(p, jump(unix.BPF_JGT, uint32(f.newest), 0, 1), ret(refuse(unix.ENOSYS)))
	}
	for _, r := range f.rules {
		body := r.conditions()
		if len(body) > 0 {
			body = append(body, ret(r.then), load(offCall)) // the conditions have overwritten it
		} else {
			body = append(body, ret(r.then))
		}
		p = append(p, jump(unix.BPF_JEQ, uint32(r.call), 0, uint8(len(body))))
		p = append(p, body...)
	}
	p = append(p, ret(f.rest))
	if len(p) > unix.BPF_MAXINSNS {
		return nil, fmt.Errorf("a filter of %d instructions is too long", len(p))
	}
	return p, nil
}

// conditions jump behind the rule's return when one does not hold.
func (r rule) conditions() []unix.SockFilter {
	var p []unix.SockFilter
	for _, c := range r.when {
		for half := range 2 { // the lower 32 bits come first, on all that is built
			mask, value := uint32(c.mask>>(32*half)), uint32(c.value>>(32*half))
			if mask == 0 {
				continue
			}
			p = append(p, load(uint32(offArgs+8*c.arg+4*half)))
			if mask != ^uint32(0) {
				p = append(p, unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: mask})
			}
			p = append(p, jump(unix.BPF_JEQ, value, 0, 0))
		}
	}
	for i := range p {
		if p[i].Code == unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K {
			p[i].Jf = uint8(len(p) - i) // over the rest and the return
		}
	}
	return p
}

func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
}

func jump(op uint16, k uint32, yes, no uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | op | unix.BPF_K, K: k, Jt: yes, Jf: no}
}

func ret(action uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action}
}

// refuse is the answer of a call that fails with errno.
func refuse(errno unix.Errno) uint32 { return unix.SECCOMP_RET_ERRNO | uint32(errno) }
