package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"aegis/client"
	"aegis/internal/api/apitest"
	"aegis/internal/fault"
)

// inMemory is a home whose daemon is the fake.
func inMemory(t *testing.T) (home string, stop func()) {
	t.Helper()
	home, err := os.MkdirTemp("", "aegis")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	stop, err = (&apitest.Fake{}).Serve(filepath.Join(home, "aegisd.sock"))
	if err != nil {
		t.Fatal(err)
	}
	return home, stop
}

// TestManyEndsWithTheWorst holds that neither order nor success hides a failure.
func TestManyEndsWithTheWorst(t *testing.T) {
	home, stop := inMemory(t)
	defer stop()
	kinds := map[string]error{"bad": fault.New(fault.Invalid, "", "x", "y"), "gone": fault.New(fault.NotFound, "", "x", "y")}
	for _, c := range []struct {
		names []string
		want  error
	}{
		{[]string{"fine"}, nil},
		{[]string{"fine", "gone"}, status(1)},
		{[]string{"gone", "bad", "fine"}, status(2)},
		{[]string{"bad", "gone"}, status(2)},
	} {
		var out, errs bytes.Buffer
		a := &app{out: &out, err: &errs, env: func(name string) string { return map[string]string{"AEGIS_HOME": home}[name] }}
		if got := a.many(t.Context(), c.names, func(_ context.Context, _ *client.Client, name string) error { return kinds[name] }); got != c.want {
			t.Errorf("%v: %v, want %v", c.names, got, c.want)
		}
	}
}
