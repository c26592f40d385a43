// Package undo keeps the cleanups of a function that acquires several things.
//
// Put the undo on the line after each acquire, defer Run, and call Keep once
// everything has succeeded:
//
//	var u undo.Stack
//	defer u.Run()
//	f, err := os.Create(name)
//	…
//	u.Add(func() { f.Close(); os.Remove(name) })
//	…
//	u.Keep()
package undo

// Stack runs its functions in reverse order. The zero value is ready. It is not
// safe for concurrent use.
type Stack struct {
	funcs []func()
}

// Add pushes one cleanup.
func (s *Stack) Add(f func()) { s.funcs = append(s.funcs, f) }

// Run calls every cleanup, last one first, and forgets them. After Keep it does nothing.
func (s *Stack) Run() {
	funcs := s.funcs
	s.funcs = nil
	for i := len(funcs) - 1; i >= 0; i-- {
		funcs[i]()
	}
}

// Keep forgets the cleanups: what was acquired stays.
func (s *Stack) Keep() { s.funcs = nil }

// Take moves the cleanups to a new Stack, for an owner that outlives the function.
func (s *Stack) Take() *Stack {
	taken := &Stack{funcs: s.funcs}
	s.funcs = nil
	return taken
}
