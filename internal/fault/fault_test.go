package fault

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// declared are the strings of every constant of type Kind in the source.
func declared(t *testing.T) []Kind {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "fault.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var out []Kind
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "Kind" {
			s, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, Kind(s))
		}
		return true
	})
	return out
}

func TestEachKindHasARow(t *testing.T) {
	kinds := declared(t)
	if len(kinds) < 20 {
		t.Fatalf("only %d kinds were found in the source", len(kinds))
	}
	for _, k := range kinds {
		r, ok := table[k]
		if !ok {
			t.Errorf("%s has no row", k)
		}
		if r.status < 400 || r.status > 599 || (r.exit != 1 && r.exit != 2) {
			t.Errorf("%s: status %d, exit %d", k, r.status, r.exit)
		}
	}
	slices.Sort(kinds)
	listed := Kinds()
	slices.Sort(listed)
	if !slices.Equal(kinds, listed) {
		t.Errorf("the table has %v, the source declares %v", listed, kinds)
	}
}

// TestExit holds the exit statuses of SPEC 4: wrong usage is 2 everywhere; what
// stands for a process ends as a shell would, or with 125.
func TestExit(t *testing.T) {
	for _, k := range Kinds() {
		plain, process := 1, 125
		switch k {
		case Usage, Invalid:
			plain, process = 2, 2
		case CommandNotFound:
			process = 127
		case CommandNotRunnable:
			process = 126
		}
		if k.Exit() != plain || k.ExitProcess() != process {
			t.Errorf("%s: %d and %d, want %d and %d", k, k.Exit(), k.ExitProcess(), plain, process)
		}
	}
	if k := Kind("of a newer daemon"); k.Exit() != 1 || k.ExitProcess() != 125 || k.Status() != 500 {
		t.Errorf("an unknown kind: %d, %d, %d", k.Exit(), k.ExitProcess(), k.Status())
	}
}

func TestErrorJoinsItsPublicParts(t *testing.T) {
	for _, c := range []struct {
		e    Error
		want string
	}{
		{Error{What: "start it", Why: "it runs"}, "start it: it runs"},
		{Error{What: "start it"}, "start it"},
		{Error{Why: "it runs"}, "it runs"},
		{Error{What: "start it", Why: "it runs", Cause: io.EOF}, "start it: it runs"},
	} {
		if got := c.e.Error(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestNewKeepsCauses(t *testing.T) {
	e := New(NotFound, "web", "find it", "%q: %w", "x", io.EOF)
	if e.Why != `"x": EOF` || e.Cause != io.EOF || e.Subject != "web" || !errors.Is(e, io.EOF) {
		t.Errorf("%+v", e)
	}
	both := New(Internal, "", "", "%w, and %w", io.EOF, io.ErrClosedPipe)
	if !errors.Is(both, io.EOF) || !errors.Is(both, io.ErrClosedPipe) {
		t.Errorf("of two causes: %+v", both)
	}
	if none := New(Internal, "", "", "no cause"); none.Cause != nil {
		t.Errorf("no cause: %+v", none)
	}
}

func TestAsAndIs(t *testing.T) {
	if As(nil) != nil || Is(nil, Internal) {
		t.Error("nil is no fault")
	}
	e := New(Timeout, "", "wait", "it took too long")
	wrapped := fmt.Errorf("boot: %w", e)
	if As(wrapped) != e || !Is(wrapped, Timeout) || Is(wrapped, Internal) {
		t.Error("a wrapped fault is not found")
	}
	plain := As(io.EOF)
	if plain.Kind != Internal || !errors.Is(plain, io.EOF) || strings.TrimSpace(plain.Error()) == "" {
		t.Errorf("%+v", plain)
	}
	if Is(io.EOF, Internal) {
		t.Error("a plain error is of no kind until As made it so")
	}
}
