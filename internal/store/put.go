package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"aegis/internal/fault"
	"aegis/internal/instance"
)

// Put saves a whole record, new or not, or changes nothing. When it returns nil
// the record is on the disk. It refuses a name that another instance has
// (fault.NameTaken), a host port of the same address that another instance has
// (fault.PortTaken; whether 0.0.0.0 and 127.0.0.1 clash is the engine's affair),
// and what can't be a record (fault.Invalid). A full disk is a fault.NoSpace.
func (s *Store) Put(ctx context.Context, r Record) error {
	what := fmt.Sprintf("save instance %q", r.Spec.Name)
	if err := check(r, what); err != nil {
		return err
	}
	body, err := r.encode()
	if err != nil {
		return err
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return explain(s.path, what, err)
	}
	defer tx.Rollback() // nothing after Commit
	if _, err := tx.StmtContext(ctx, s.upsert).ExecContext(ctx, r.ID, string(body)); err != nil {
		if taken(err) {
			return fault.New(fault.NameTaken, r.Spec.Name, what, "another instance has that name")
		}
		return explain(s.path, what, err)
	}
	if err := s.putPorts(ctx, tx, r, what); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return explain(s.path, what, err)
	}
	return nil
}

// check refuses what would break the table for everybody else.
func check(r Record, what string) error {
	switch {
	case !instance.IsIDPrefix(r.ID):
		return fault.New(fault.Invalid, r.ID, what, "%q is not an ID", r.ID)
	case !slices.Contains(instance.States(), r.State):
		return fault.New(fault.Invalid, r.Spec.Name, what, "%q is not a state", r.State)
	}
	return instance.CheckName(r.Spec.Name)
}

// putPorts makes the record's host ports the only ones that are its own.
func (s *Store) putPorts(ctx context.Context, tx *sql.Tx, r Record, what string) error {
	if _, err := tx.StmtContext(ctx, s.release).ExecContext(ctx, r.ID); err != nil {
		return explain(s.path, what, err)
	}
	for _, p := range r.Spec.Ports {
		if p.Host == 0 {
			return fault.New(fault.Invalid, r.Spec.Name, what, "no host port was chosen for port %d", p.Guest)
		}
		_, err := tx.StmtContext(ctx, s.claim).ExecContext(ctx, canonical(p.IP), p.Host, r.ID)
		if taken(err) {
			return fault.New(fault.PortTaken, fmt.Sprint(p.Host), what, "%s:%d belongs to %s", p.IP, p.Host, holder(ctx, tx, p, r.ID))
		}
		if err != nil {
			return explain(s.path, what, err)
		}
	}
	return nil
}

// holder names who has the port, for a person.
func holder(ctx context.Context, tx *sql.Tx, p instance.Port, self string) string {
	var id, name string
	row := tx.QueryRowContext(ctx, `SELECT id, name FROM instances JOIN host_ports ON instance = id
		WHERE ip = ? AND port = ?`, canonical(p.IP), p.Host)
	switch err := row.Scan(&id, &name); {
	case err != nil:
		return "another instance"
	case id == self:
		return "this instance already"
	}
	return fmt.Sprintf("instance %q", name)
}

// canonical makes two spellings of one address equal.
func canonical(ip string) string {
	if addr, err := netip.ParseAddr(ip); err == nil {
		return addr.Unmap().String()
	}
	return ip
}

// taken reports whether a unique column had the value already.
func taken(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) &&
		(e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
}
