package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aegis/internal/fault"
	"aegis/internal/instance"
)

func open(t testing.TB) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "registry.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// record is a valid one; n tells it from others.
func record(n int) Record {
	return Record{
		ID:        fmt.Sprintf("inst-aaaaaaaaa%03d", n),
		Spec:      instance.Spec{Name: fmt.Sprintf("web-%d", n)},
		State:     instance.Stopped,
		CreatedAt: time.Date(2026, 1, 1, 0, 0, n, 0, time.UTC),
	}
}

func put(t testing.TB, s *Store, records ...Record) {
	t.Helper()
	for _, r := range records {
		if err := s.Put(t.Context(), r); err != nil {
			t.Fatalf("put %s: %v", r.ID, err)
		}
	}
}

func wantKind(t *testing.T, err error, kind fault.Kind) *fault.Error {
	t.Helper()
	var e *fault.Error
	if !errors.As(err, &e) || e.Kind != kind {
		t.Fatalf("got %v, want a fault of kind %s", err, kind)
	}
	return e
}

func TestPutReplacesWholeRecord(t *testing.T) {
	s := open(t)
	r := record(1)
	r.Exit = &instance.Exit{Code: 3}
	put(t, s, r)
	r.Exit, r.State, r.Run = nil, instance.Running, "run-x"
	put(t, s, r)
	got, err := s.Get(t.Context(), r.ID)
	if err != nil || got.Exit != nil || got.Run != "run-x" {
		t.Fatalf("got %+v, %v", got, err)
	}
}

func TestNameIsUnique(t *testing.T) {
	s := open(t)
	a, b := record(1), record(2)
	b.Spec.Name = a.Spec.Name
	put(t, s, a)
	e := wantKind(t, s.Put(t.Context(), b), fault.NameTaken)
	if e.Subject != a.Spec.Name {
		t.Errorf("subject %q", e.Subject)
	}
	if _, err := s.Get(t.Context(), b.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("the refused record is there: %v", err)
	}
}

func TestHostPortIsUnique(t *testing.T) {
	s := open(t)
	a, b := record(1), record(2)
	a.Spec.Ports = []instance.Port{{Guest: 80, IP: "::1", Host: 8080}}
	b.Spec.Ports = []instance.Port{{Guest: 80, IP: "127.0.0.1", Host: 8080}, {Guest: 81, IP: "0:0:0:0:0:0:0:1", Host: 8080}}
	put(t, s, a)
	e := wantKind(t, s.Put(t.Context(), b), fault.PortTaken)
	if !strings.Contains(e.Why, a.Spec.Name) {
		t.Errorf("%q does not name the holder", e.Why)
	}
	if _, err := s.Get(t.Context(), b.ID); !fault.Is(err, fault.NotFound) {
		t.Errorf("the refused record is there: %v", err)
	}
	put(t, s, a) // its own ports are no obstacle to itself
	if err := s.Delete(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	put(t, s, b) // and a deleted record gives them back
}

func TestRefusesWhatIsNoRecord(t *testing.T) {
	s := open(t)
	for name, spoil := range map[string]func(*Record){
		"id":    func(r *Record) { r.ID = "web" },
		"name":  func(r *Record) { r.Spec.Name = "Not A Name" },
		"state": func(r *Record) { r.State = "DREAMING" },
		"port":  func(r *Record) { r.Spec.Ports = []instance.Port{{Guest: 80, IP: "127.0.0.1"}} },
	} {
		r := record(1)
		spoil(&r)
		if err := s.Put(t.Context(), r); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestFind(t *testing.T) {
	s := open(t)
	put(t, s, record(1), record(2), record(12))
	for ref, want := range map[string]string{
		"web-2":             "inst-aaaaaaaaa002",
		"inst-aaaaaaaaa001": "inst-aaaaaaaaa001",
		"inst-aaaaaaaaa01":  "inst-aaaaaaaaa012",
	} {
		if r, err := s.Find(t.Context(), ref); err != nil || r.ID != want {
			t.Errorf("find %q: %q, %v", ref, r.ID, err)
		}
	}
	for _, ref := range []string{"", "web", "inst-", "inst-zzz", "web-%", "inst-aaaaaaaaa0011"} {
		if _, err := s.Find(t.Context(), ref); !fault.Is(err, fault.NotFound) {
			t.Errorf("find %q: %v", ref, err)
		}
	}
	_, err := s.Find(t.Context(), "inst-a")
	if e := wantKind(t, err, fault.Ambiguous); !strings.Contains(e.Why, "web-12") {
		t.Errorf("%q does not name what fits", e.Why)
	}
}

func TestListIsOldestFirst(t *testing.T) {
	s := open(t)
	put(t, s, record(3), record(1), record(2))
	records, err := s.List(t.Context())
	if err != nil || len(records) != 3 {
		t.Fatal(records, err)
	}
	for i, r := range records {
		if want := record(i + 1).ID; r.ID != want {
			t.Errorf("place %d has %s, want %s", i, r.ID, want)
		}
	}
}

func TestMissing(t *testing.T) {
	s := open(t)
	_, err := s.Get(t.Context(), "inst-none")
	wantKind(t, err, fault.NotFound)
	wantKind(t, s.Delete(t.Context(), "inst-none"), fault.NotFound)
}

func TestCancelledPutChangesNothing(t *testing.T) {
	s := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Put(ctx, record(1)); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	put(t, s, record(1)) // the connection is whole again
}

func TestReopenKeepsRecordsAndMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "odd name?#%.db")
	for i := range 3 {
		s, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		put(t, s, record(i))
		list, err := s.List(t.Context())
		if err != nil || len(list) != i+1 {
			t.Fatalf("round %d: %d records, %v", i, len(list), err)
		}
		files, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
		for _, f := range files {
			if info, err := os.Stat(f); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", f, info.Mode(), err)
			}
			if !strings.HasPrefix(f, path) {
				t.Errorf("a file of another name: %s", f)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRefusesNewerSchema(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.db")
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.db.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)`); err != nil {
		t.Fatal(err)
	}
	s.Close()
	_, err = Open(path)
	wantKind(t, err, fault.Version)
}

func TestRefusesWhatIsNoDatabase(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.db")
	text := strings.Repeat("not a database ", 1000)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(path)
	if e := wantKind(t, err, fault.Internal); !strings.Contains(e.Why, "damaged") {
		t.Errorf("why: %q", e.Why)
	}
	if left, _ := os.ReadFile(path); string(left) != text {
		t.Error("the file was changed")
	}
}

func TestDurable(t *testing.T) {
	s := open(t)
	for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "foreign_keys": "1"} {
		var got string
		if err := s.db.QueryRow("PRAGMA " + pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q (%v), want %q", pragma, got, err, want)
		}
	}
}
