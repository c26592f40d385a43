package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"aegis/client"
)

// untested are the operations that would end the daemon, make its assets, or start
// a VM for every request, or ask a registry of the world.
const untested = `/(down|setup|prune|start|restart|run|pull)$`

// TestAPIProperties has schemathesis make requests of the daemon's own document,
// right and wrong ones, over TCP: none may be answered otherwise than that says.
func TestAPIProperties(t *testing.T) {
	tester, err := filepath.Abs("../../build/venv/bin/schemathesis")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(tester); err != nil {
		t.Skip("pending: no schemathesis: run scripts/deps test")
	}
	settings, err := filepath.Abs("testdata/schemathesis.toml")
	if err != nil {
		t.Fatal(err)
	}
	h := newHome(t)
	h.ownCache() // images are imported into it
	h.config(`front-door = "off"`, `api-listen = "127.0.0.1:0"`)
	address, token := h.remote()
	ctx, cancel := context.WithTimeout(t.Context(), commandTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, tester, "--config-file", settings, "run", "http://"+address+"/v1/openapi.json",
		"--header", "Authorization: Bearer "+token, "--exclude-path-regex", untested, "--phases", "coverage,fuzzing,stateful",
		"--max-examples", "10", "--seed", "1", "--no-shrink", "--request-timeout", "30", "--warnings", "off")
	cmd.Dir = h.cwd
	began := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, strings.ReplaceAll(tail(string(out), 8000), token, "TOKEN"))
	}
	t.Logf("%s, %.0f s", regexp.MustCompile(`\d+ generated, .*`).FindString(string(out)), time.Since(began).Seconds())
	if log, err := os.ReadFile(filepath.Join(h.dir, "aegisd.log")); err != nil || strings.Contains(string(log), "panicked") || strings.Contains(string(log), token) {
		t.Errorf("%v, the daemon's log:\n%s", err, tail(string(log), 4000))
	}
}

// remote starts the daemon, and says where it serves the API over TCP, for whom.
func (h *home) remote() (address, token string) {
	h.t.Helper()
	h.ok("up")
	text, err := os.ReadFile(filepath.Join(h.dir, "api.token"))
	if err != nil {
		h.t.Fatal(err)
	}
	status, err := client.New(filepath.Join(h.dir, "aegisd.sock")).Status(h.t.Context())
	if err != nil || status.Listen == "" {
		h.t.Fatalf("%+v, %v", status, err)
	}
	return status.Listen, strings.TrimSpace(string(text))
}
