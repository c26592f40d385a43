package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"sync"
)

// requests are the schemas of bodies that are sent to the daemon.
var requests = []string{"Create", "Exec", "Lease", "PullImage"}

// document serves the OpenAPI document, made once from the routes.
func (s *server) document() http.HandlerFunc {
	made := sync.OnceValues(func() ([]byte, error) {
		text, err := json.Marshal(s.api.OpenAPI())
		if err != nil {
			return nil, err
		}
		var doc map[string]any
		if err := json.Unmarshal(text, &doc); err != nil {
			return nil, err
		}
		nullable(doc)
		return json.Marshal(doc)
	})
	return func(w http.ResponseWriter, _ *http.Request) {
		text, err := made()
		if err != nil {
			writeFault(w, s.failed("get-document", err))
			return
		}
		w.Header().Set("Content-Type", "application/openapi+json")
		w.Write(text) // a client that has gone needs no answer
	}
}

// nullable says which fields may be null, which the library does not: objects that
// an instance need not have, and all that a request may leave out, where null is
// the same as nothing.
func nullable(doc map[string]any) {
	schemas := doc["components"].(map[string]any)["schemas"].(map[string]any)
	orNull(schemas["Instance"], "workspace")
	orNull(schemas["Instance"], "exit")
	for _, name := range requests {
		schema := schemas[name].(map[string]any)
		required, _ := schema["required"].([]any)
		for field := range schema["properties"].(map[string]any) {
			if !slices.Contains(required, any(field)) {
				orNull(schema, field)
			}
		}
	}
}

// orNull lets a field of a schema be null.
func orNull(schema any, field string) {
	properties := schema.(map[string]any)["properties"].(map[string]any)
	properties[field] = map[string]any{"anyOf": []any{properties[field], map[string]any{"type": "null"}}}
}
