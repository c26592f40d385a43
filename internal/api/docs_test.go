package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"aegis/internal/api"
	"aegis/internal/api/apitest"
	"aegis/internal/fault"
)

// drawn is a table of docs/api.md, between its two marks.
func drawn(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(text), "<!-- "+name+" -->\n")
	table, _, closed := strings.Cut(rest, "<!-- /"+name+" -->")
	if !found || !closed {
		t.Fatalf("docs/api.md has no table of %s", name)
	}
	return table
}

// TestCodesAreDocumented holds docs/api.md to the table of kinds, row by row; what
// a code means is written by hand, and must be there.
func TestCodesAreDocumented(t *testing.T) {
	var want []string
	for _, k := range fault.Kinds() {
		want = append(want, fmt.Sprintf("| `%s` | %d | %d | %d | ", k, k.Status(), k.Exit(), k.ExitProcess()))
	}
	slices.Sort(want)
	rows := strings.Split(strings.TrimSpace(drawn(t, "codes")), "\n")[2:]
	for n, row := range rows {
		if n >= len(want) || !strings.HasPrefix(row, want[n]) || strings.Trim(row[len(want[n]):], "| ") == "" {
			t.Fatalf("row %d of docs/api.md is\n%s\nand has to begin with\n%s\nand to say what it means", n, row, slices.Concat(want, []string{"(no more)"})[min(n, len(want))])
		}
	}
	if len(rows) != len(want) {
		t.Errorf("%d codes are documented, there are %d: %s", len(rows), len(want), want[len(rows)])
	}
}

// TestRoutesAreDocumented holds docs/api.md to the document that the daemon serves.
func TestRoutesAreDocumented(t *testing.T) {
	w := ask(t, &apitest.Fake{}, "GET", "/v1/openapi.json", "")
	var doc struct {
		Paths map[string]map[string]struct{ Summary string }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	var want []string
	for path, methods := range doc.Paths {
		for method, op := range methods {
			want = append(want, fmt.Sprintf("| `%s` | %s | %s |\n", path, strings.ToUpper(method), op.Summary))
		}
	}
	slices.Sort(want)
	table := "| path | method | |\n|---|---|---|\n" + strings.Join(want, "")
	if got := drawn(t, "routes"); got != table {
		t.Errorf("docs/api.md has\n%s\nand the daemon serves\n%s", got, table)
	}
}

func TestMetricsAreServed(t *testing.T) {
	s := (&apitest.Fake{}).Services()
	if w := serve(api.Handler(s), "GET", "/metrics", ""); w.Code != 404 {
		t.Errorf("without: %d", w.Code)
	}
	s.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("figures")) })
	var w *httptest.ResponseRecorder
	if w = serve(api.Handler(s), "GET", "/metrics", ""); w.Body.String() != "figures" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
