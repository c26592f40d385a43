// Package store is the registry: one SQLite database that holds a record for each
// instance. The engine alone calls it; it saves before it acts, so what is here is
// what a new daemon begins with.
//
// It never decides a state, never looks at a disk other than its own, and never
// sees a secret's value.
package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"net/url"
	"os"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"aegis/internal/fault"
	"aegis/internal/undo"
)

//go:embed migrations/*.sql
var migrations embed.FS

// busyMillis is how long a statement waits for another process, such as a
// user's sqlite3 shell, to let go of the database.
const busyMillis = 5000

// applicationID tells file(1) whose database it is: "aegi".
const applicationID = 0x61656769

// Store is an open registry. Its methods may be called by several goroutines at
// once; they take turns on one connection, which is what SQLite's single writer
// amounts to anyway.
type Store struct {
	path string
	db   *sql.DB

	get, list, find, upsert, remove, claim, release *sql.Stmt
}

// Open opens or makes the registry at path, 0600, and brings it to this version's
// schema. A registry of a newer Aegis is a fault.Version and is left untouched.
func Open(path string) (*Store, error) {
	what := fmt.Sprintf("open registry %q", path)
	var u undo.Stack
	defer u.Run()
	if err := private(path); err != nil {
		return nil, explain(path, what, err)
	}
	db, err := sql.Open("sqlite", dsn(path))
	if err != nil {
		return nil, explain(path, what, err)
	}
	u.Add(func() { db.Close() })
	db.SetMaxOpenConns(1)
	// One write first: where it fails, goose would try again for three seconds.
	if _, err := db.Exec(fmt.Sprintf(`PRAGMA application_id = %d`, applicationID)); err != nil {
		return nil, explain(path, what, err)
	}
	if err := migrate(path, db); err != nil {
		return nil, explain(path, what, err)
	}
	s := &Store{path: path, db: db}
	if err := s.prepare(); err != nil {
		return nil, explain(path, what, err)
	}
	u.Keep()
	return s, nil
}

// Close folds the write-ahead log into the database and closes it.
func (s *Store) Close() error { return s.db.Close() }

// dsn names the database and how it is used.
//
// synchronous=FULL: a commit is on the disk, not only in the kernel, before Put
// returns. NORMAL would be enough for a kill -9, but a power cut could then undo
// the newest commits, and with them the record of a disk that exists.
func dsn(path string) string {
	name := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath()}
	query := url.Values{"_pragma": {
		fmt.Sprintf("busy_timeout(%d)", busyMillis),
		"journal_mode(WAL)",
		"synchronous(FULL)",
		"foreign_keys(1)",
		"trusted_schema(0)",
	}, "_txlock": {"immediate"}}
	name.RawQuery = query.Encode()
	return name.String()
}

// private makes the database's file before SQLite does, which would let others
// read it; the -wal and -shm files take their mode from it.
func private(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Chmod(0o600)
}

// migrate brings the schema up to date, or refuses one that is ahead of us.
func migrate(path string, db *sql.DB) error {
	ctx := context.Background()
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, sub)
	if err != nil {
		return err
	}
	current, ours, err := provider.GetVersions(ctx)
	if err != nil {
		return err
	}
	if current > ours {
		return fault.New(fault.Version, path, fmt.Sprintf("open registry %q", path),
			"a newer Aegis made it (schema %d, this one knows up to %d)", current, ours)
	}
	if current == ours {
		return nil
	}
	_, err = provider.Up(ctx)
	return err
}

// prepare compiles every statement once.
func (s *Store) prepare() error {
	for _, p := range []struct {
		stmt **sql.Stmt
		text string
	}{
		{&s.get, `SELECT body FROM instances WHERE id = ?`},
		{&s.list, `SELECT body FROM instances`},
		{&s.find, `SELECT body FROM instances WHERE id = ?1 OR name = ?1 OR (id >= ?2 AND id < ?3) LIMIT ?4`},
		{&s.upsert, `INSERT INTO instances (id, body) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body`},
		{&s.remove, `DELETE FROM instances WHERE id = ?`},
		{&s.claim, `INSERT INTO host_ports (ip, port, instance) VALUES (?, ?, ?)`},
		{&s.release, `DELETE FROM host_ports WHERE instance = ?`},
	} {
		stmt, err := s.db.Prepare(p.text)
		if err != nil {
			return fmt.Errorf("prepare %q: %w", p.text, err)
		}
		*p.stmt = stmt
	}
	return nil
}
