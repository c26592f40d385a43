package undo

import (
	"slices"
	"testing"
)

func TestStack(t *testing.T) {
	var ran []int
	var s Stack
	for i := range 3 {
		s.Add(func() { ran = append(ran, i) })
	}
	s.Run()
	if !slices.Equal(ran, []int{2, 1, 0}) {
		t.Errorf("order %v", ran)
	}
	s.Run()
	if len(ran) != 3 {
		t.Error("a second Run ran them again")
	}
}

func TestKeep(t *testing.T) {
	var s Stack
	s.Add(func() { t.Error("what was kept is undone") })
	s.Keep()
	s.Run()
}

func TestTake(t *testing.T) {
	ran := 0
	var s Stack
	s.Add(func() { ran++ })
	owner := s.Take()
	s.Run()
	if ran != 0 {
		t.Error("what was taken is undone by the old owner")
	}
	owner.Run()
	if ran != 1 {
		t.Errorf("the new owner ran it %d times", ran)
	}
}

// TestRunInsideRun is a cleanup that runs the stack again, as a Close may.
func TestRunInsideRun(t *testing.T) {
	ran := 0
	var s Stack
	s.Add(func() { ran++; s.Run() })
	s.Add(func() { ran++; s.Run() })
	s.Run()
	if ran != 2 {
		t.Errorf("%d cleanups ran, want 2", ran)
	}
}
