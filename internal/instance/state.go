package instance

import (
	"fmt"

	"aegis/internal/fault"
)

// State is where an instance is in its life. The strings are what the registry
// and the API hold.
type State string

// The four states.
const (
	Stopped  State = "STOPPED"  // no VM, no process; the disk is all there is
	Starting State = "STARTING" // a VM boots; its command has not begun
	Running  State = "RUNNING"  // the command runs
	Paused   State = "PAUSED"   // the VM's processors are stopped; memory is kept
)

// Event is what happens to an instance: a user's verb, a connection, a clock, or
// what the shim reports.
type Event string

// User's verbs and connections.
const (
	Start   Event = "start"
	Connect Event = "connect" // a connection to an exposed port
	Exec    Event = "exec"
	Hold    Event = "hold" // a lease from outside the guest
	Pause   Event = "pause"
	Resume  Event = "resume"
	Stop    Event = "stop"
	Delete  Event = "delete"
)

// Clocks.
const (
	Idle    Event = "idle"    // nothing has happened for pause-after
	Expired Event = "expired" // paused for stop-after
)

// Reports. Gone is every end of the VM: exit, death, panic, boot failure.
const (
	Acked Event = "acked" // the harness acknowledged the command
	Gone  Event = "gone"
)

// Action is what the owner of the instance does on a transition, after the new
// state is saved.
type Action string

// The actions.
const (
	Nothing Action = ""
	Boot    Action = "boot"   // make a VM and start the command
	Freeze  Action = "freeze" // stop the processors
	Thaw    Action = "thaw"   // let them go on
	End     Action = "end"    // stop the command, then the VM
	Remove  Action = "remove" // delete the record and what it owns
)

// Step is one row of the table.
type Step struct {
	To State
	Do Action
}

type key struct {
	From State
	On   Event
}

// table is the only place that decides what state follows. A pair that is not
// here is refused.
var table = map[key]Step{
	{Stopped, Start}:   {Starting, Boot},
	{Stopped, Connect}: {Starting, Boot},
	{Stopped, Stop}:    {Stopped, Nothing},
	{Stopped, Delete}:  {Stopped, Remove},

	{Starting, Acked}:   {Running, Nothing},
	{Starting, Gone}:    {Stopped, Nothing},
	{Starting, Stop}:    {Starting, End},
	{Starting, Connect}: {Starting, Nothing},

	{Running, Idle}:    {Paused, Freeze},
	{Running, Pause}:   {Paused, Freeze},
	{Running, Resume}:  {Running, Nothing},
	{Running, Connect}: {Running, Nothing},
	{Running, Exec}:    {Running, Nothing},
	{Running, Hold}:    {Running, Nothing},
	{Running, Stop}:    {Running, End},
	{Running, Gone}:    {Stopped, Nothing},

	{Paused, Connect}: {Running, Thaw},
	{Paused, Exec}:    {Running, Thaw},
	{Paused, Hold}:    {Running, Thaw},
	{Paused, Resume}:  {Running, Thaw},
	{Paused, Start}:   {Running, Thaw},
	{Paused, Pause}:   {Paused, Nothing},
	{Paused, Stop}:    {Paused, End},
	{Paused, Expired}: {Paused, End},
	{Paused, Gone}:    {Stopped, Nothing},
}

// Next is the lifecycle: the state that follows and what to do on entering it. A
// stop is two steps, since the state changes when the VM is gone: Stop keeps the
// state and asks for End; Gone, which End brings about, leads to Stopped.
// An event that the state does not allow is a fault.WrongState.
func Next(from State, on Event) (Step, error) {
	if step, ok := table[key{from, on}]; ok {
		return step, nil
	}
	return Step{}, fault.New(fault.WrongState, "", string(on), "it is %s", from)
}

// States and Events list the alphabet, in the order of documents and tests.
func States() []State { return []State{Stopped, Starting, Running, Paused} }

// Events lists every event.
func Events() []Event {
	return []Event{Start, Connect, Exec, Hold, Pause, Resume, Stop, Delete, Idle, Expired, Acked, Gone}
}

// Table draws the lifecycle as Markdown, one line a row that changes or does
// something. ARCHITECTURE.md holds it, and a test holds the two equal.
func Table() string {
	out := "| from | event | to | action |\n|---|---|---|---|\n"
	for _, from := range States() {
		for _, on := range Events() {
			if step, ok := table[key{from, on}]; ok {
				out += fmt.Sprintf("| %s | %s | %s | %s |\n", from, on, step.To, step.Do)
			}
		}
	}
	return out
}
