package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"aegis/internal/fault"
	"aegis/internal/instance"
)

// ambiguousMost is how many of the instances that fit a prefix an error names.
const ambiguousMost = 5

// Get reads one record by its whole ID; fault.NotFound when there is none.
func (s *Store) Get(ctx context.Context, id string) (Record, error) {
	what := fmt.Sprintf("find instance %q", id)
	var body []byte
	err := s.get.QueryRowContext(ctx, id).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return Record{}, missing(id, what)
	}
	if err != nil {
		return Record{}, explain(s.path, what, err)
	}
	return decode(body)
}

// List reads every record, oldest first.
func (s *Store) List(ctx context.Context) ([]Record, error) {
	records, err := s.query(ctx, s.list)
	if err != nil {
		return nil, explain(s.path, "list instances", err)
	}
	slices.SortFunc(records, func(a, b Record) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), strings.Compare(a.ID, b.ID))
	})
	return records, nil
}

// Find reads the record that a user means by ref: an ID, a name, or the beginning
// of an ID that fits only one. It is fault.NotFound or fault.Ambiguous otherwise.
func (s *Store) Find(ctx context.Context, ref string) (Record, error) {
	what := fmt.Sprintf("find instance %q", ref)
	from, to := "", "" // an empty range: ref can only be a name
	if instance.IsIDPrefix(ref) {
		from, to = ref, ref+"\x7f" // above every character of an ID
	}
	records, err := s.query(ctx, s.find, ref, from, to, ambiguousMost+1)
	if err != nil {
		return Record{}, explain(s.path, what, err)
	}
	switch len(records) {
	case 0:
		return Record{}, missing(ref, what)
	case 1:
		return records[0], nil
	}
	for _, r := range records {
		if r.ID == ref {
			return r, nil
		}
	}
	return Record{}, fault.New(fault.Ambiguous, ref, what, "it fits %s", names(records))
}

// names lists the instances that a prefix fits, for a person.
func names(records []Record) string {
	var out []string
	for _, r := range records[:min(len(records), ambiguousMost)] {
		out = append(out, fmt.Sprintf("%s (%s)", r.ID, r.Spec.Name))
	}
	if len(records) > ambiguousMost {
		out = append(out, "and more")
	}
	return strings.Join(out, ", ")
}

// Delete forgets a record and its ports; fault.NotFound when there is none.
func (s *Store) Delete(ctx context.Context, id string) error {
	what := fmt.Sprintf("delete the record of instance %q", id)
	result, err := s.remove.ExecContext(ctx, id)
	if err != nil {
		return explain(s.path, what, err)
	}
	if n, err := result.RowsAffected(); err == nil && n == 0 {
		return missing(id, what)
	}
	return nil
}

func missing(ref, what string) error {
	return fault.New(fault.NotFound, ref, what, "there is no such instance")
}

// query reads the bodies that a statement selects.
func (s *Store) query(ctx context.Context, stmt *sql.Stmt, args ...any) ([]Record, error) {
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Record
	for rows.Next() {
		var body sql.RawBytes
		if err := rows.Scan(&body); err != nil {
			return nil, err
		}
		r, err := decode(body)
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, rows.Err()
}
