package instance

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"aegis/internal/fault"
)

var update = flag.Bool("update", false, "write testdata anew")

func TestTableIsGolden(t *testing.T) {
	const golden = "testdata/table.md"
	if *update {
		if err := os.WriteFile(golden, []byte(Table()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || Table() != string(want) {
		t.Errorf("the lifecycle has changed (go test ./internal/instance -update writes it): %v\n%s", err, Table())
	}
	if rows := strings.Count(Table(), "\n") - 2; rows != len(table) {
		t.Errorf("the table draws %d rows of %d: States or Events lacks one", rows, len(table))
	}
}

func TestEveryOtherPairIsRefused(t *testing.T) {
	for _, from := range States() {
		for _, on := range Events() {
			step, err := Next(from, on)
			if want, ok := table[key{from, on}]; ok {
				if err != nil || step != want {
					t.Errorf("%s, %s: %+v, %v", from, on, step, err)
				}
				continue
			}
			e := fault.As(err)
			if err == nil || e.Kind != fault.WrongState || step != (Step{}) {
				t.Errorf("%s, %s: %+v, %v", from, on, step, err)
			} else if !strings.Contains(e.Error(), string(on)) || !strings.Contains(e.Error(), string(from)) {
				t.Errorf("%q does not name action and state", e)
			}
		}
	}
	if _, err := Next("DREAMING", Start); !fault.Is(err, fault.WrongState) {
		t.Errorf("an unknown state: %v", err)
	}
}

// TestStatesAreReached walks the table from a new instance, and from each state
// back to where it can be deleted.
func TestStatesAreReached(t *testing.T) {
	for _, begin := range States() {
		reached := reach(begin)
		for _, want := range States() {
			if !reached[want] {
				t.Errorf("no way leads from %s to %s", begin, want)
			}
		}
	}
}

func reach(begin State) map[State]bool {
	reached := map[State]bool{begin: true}
	for range States() {
		for k, step := range table {
			if reached[k.From] {
				reached[step.To] = true
			}
		}
	}
	return reached
}

// vm is what the actions do to a VM, as the owner of an instance would.
type vm struct{ exists, frozen bool }

// TestAnyHistory feeds any events and holds that state and VM never disagree.
func TestAnyHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		state, machine := Stopped, vm{}
		for range rapid.IntRange(1, 60).Draw(t, "length") {
			on := rapid.SampledFrom(Events()).Draw(t, "event")
			step, err := Next(state, on)
			if err != nil {
				continue
			}
			if err := machine.act(on, step.Do); err != nil {
				t.Fatalf("%s, %s, %s: %v", state, on, step.Do, err)
			}
			state = step.To
			if machine.exists != (state != Stopped) || machine.frozen != (state == Paused) {
				t.Fatalf("%s with %+v", state, machine)
			}
			if step.Do == Remove {
				return
			}
		}
	})
}

// act does what step.Do says, and refuses what can't be done.
func (m *vm) act(on Event, do Action) error {
	switch {
	case on == Gone:
		if !m.exists || do != Nothing {
			return fmt.Errorf("nothing was there to go: %+v", *m)
		}
		*m = vm{}
	case do == Boot:
		if m.exists {
			return fmt.Errorf("a second VM")
		}
		m.exists = true
	case do == Freeze, do == Thaw:
		if !m.exists || m.frozen == (do == Freeze) {
			return fmt.Errorf("%+v", *m)
		}
		m.frozen = do == Freeze
	case do == End:
		if !m.exists {
			return fmt.Errorf("nothing is there to end")
		}
	case do == Remove && m.exists:
		return fmt.Errorf("removed with its VM")
	}
	return nil
}
