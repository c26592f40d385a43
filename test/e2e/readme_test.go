package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestReadme runs every command of the README, in its order, as a newcomer would.
func TestReadme(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write(filepath.Join(h.cwd, "app/index.html"), "page\n")
	if err := os.Symlink(bin, filepath.Join(h.cwd, "bin")); err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, command := range commands(string(readme)) {
		if strings.HasPrefix(command, "make ") {
			continue // scripts call this test; they run those
		}
		limit := commandTime
		endless := strings.Contains(command, "--follow")
		if endless {
			limit = 5 * time.Second
		}
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		cmd := exec.CommandContext(ctx, "sh", "-c", "exec 2>&1; "+command)
		cmd.Dir, cmd.Env, cmd.WaitDelay = h.cwd, h.env, time.Second
		out, err := cmd.Output()
		if err != nil && !(endless && ctx.Err() != nil) {
			t.Errorf("%s: %v\n%s", command, err, out)
		}
		cancel()
		ran++
	}
	if ran < 8 {
		t.Errorf("only %d commands were found", ran)
	}
}

// commands are the lines of a document's shell blocks, continued ones joined,
// without comments.
func commands(doc string) []string {
	var out []string
	blocks := strings.Split(doc, "```")
	for i := 1; i < len(blocks); i += 2 {
		body, ok := strings.CutPrefix(blocks[i], "sh\n")
		if !ok {
			continue
		}
		for _, line := range strings.Split(strings.ReplaceAll(body, "\\\n", " "), "\n") {
			line, _, _ = strings.Cut(line, " #")
			if line = strings.TrimSpace(line); line != "" {
				out = append(out, line)
			}
		}
	}
	return out
}
