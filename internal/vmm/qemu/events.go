package qemu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"aegis/internal/vmm"
)

// byHost are reasons of a SHUTDOWN event with which QEMU ends cleanly though the guest
// did not ask for it (qapi/run-state.json, ShutdownCause).
var byHost = []string{"host-error", "host-signal", "host-ui"}

// event takes what QEMU tells unasked. Others than these are dropped.
func (m *machine) event(name string, data json.RawMessage) {
	var d struct {
		Reason string `json:"reason"`
		Status string `json:"status"`
	}
	if json.Unmarshal(data, &d) != nil {
		return
	}
	switch name {
	case "SHUTDOWN":
		m.mu.Lock()
		m.reason = d.Reason
		m.mu.Unlock()
	case "MIGRATION":
		if d.Status == "completed" || d.Status == "failed" {
			select {
			case m.migration <- d.Status:
			default: // once is enough
			}
		}
	}
}

// migrated waits for the end of the migration that was begun.
func (m *machine) migrated(ctx context.Context) error {
	var status string
	select {
	case status = <-m.migration:
	case <-m.control.broken:
		select { // it may have been told before
		case status = <-m.migration:
		default:
			return m.control.err
		}
	case <-ctx.Done():
		return ctx.Err()
	}
	if status != "completed" {
		return errors.New("the migration failed")
	}
	return nil
}

// lastMoment bounds the wait for the end of a monitor whose connection broke.
const lastMoment = 500 * time.Millisecond

// lastWords is err, or what the monitor said when it is the one that ended.
func (m *machine) lastWords(err error) error {
	if err == nil {
		return nil
	}
	select {
	case <-m.control.broken:
	default:
		return err
	}
	select {
	case <-m.Done():
		if said := m.Err(); said != nil && !errors.Is(said, vmm.ErrClosed) {
			return fmt.Errorf("%w: %w", err, said)
		}
	case <-time.After(lastMoment):
	}
	return err
}
