package e2e

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
)

// plain runs programs in the default image's root as a process of the host, held by
// bubblewrap: what a VM is compared with.
type plain struct {
	h    *home
	root string
}

// newPlain unpacks the root, or says why it can't.
func newPlain(h *home) (*plain, string) {
	h.t.Helper()
	for _, name := range []string{"bwrap", "debugfs"} {
		if _, err := exec.LookPath(name); err != nil {
			return nil, "pending: no " + name + " here: scripts/deps bench"
		}
	}
	p := &plain{h, h.t.TempDir()}
	image := one(h.t, cache, "images", "*", "root.ext4")
	if out, err := exec.Command("debugfs", "-R", "rdump / "+p.root, image).CombinedOutput(); err != nil {
		h.t.Fatalf("unpack the root: %v\n%s", err, out)
	}
	return p, ""
}

func (p *plain) command(ctx context.Context, args ...string) *exec.Cmd {
	line := []string{"--ro-bind", p.root, "/", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--unshare-all", "--share-net", "--die-with-parent", "--"}
	cmd := exec.CommandContext(ctx, "bwrap", append(line, args...)...)
	cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin"}
	return cmd
}

// ok runs a program to its end.
func (p *plain) ok(args ...string) {
	p.h.t.Helper()
	if out, err := p.command(p.h.t.Context(), args...).CombinedOutput(); err != nil {
		p.h.t.Fatalf("bwrap %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// serving is the line by which http.server tells its port.
var serving = regexp.MustCompile(`port (\d+)`)

// firstAnswer starts a server and fetches a page from it.
func (p *plain) firstAnswer() {
	p.h.t.Helper()
	ctx, cancel := context.WithCancel(p.h.t.Context())
	cmd := p.command(ctx, "python3", "-u", "-m", "http.server", "0", "--bind", "127.0.0.1")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		p.h.t.Fatal(err)
	}
	defer cmd.Wait()
	defer cancel()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if port := serving.FindStringSubmatch(lines.Text()); port != nil {
			p.h.fetch("http://127.0.0.1:" + port[1])
			return
		}
	}
	p.h.t.Fatal("http.server under bwrap tells no port")
}

// measure adds a row of n runs of act, and how many times that the quickest start takes.
func (p *plain) measure(out *table, what string, n int, vm [][]series, act func()) {
	if p == nil {
		return
	}
	var took series
	for range n {
		took.took(act)
	}
	out.times(what+": bwrap, the same root", took)
	for i, origin := range startOrigins {
		if i == 0 {
			continue
		}
		var cells []cell
		for _, s := range vm[i] {
			cells = append(cells, cell{fmt.Sprintf("%.1f", float64(s.at(50))/float64(took.at(50)))})
		}
		out.row("  "+origin+" ÷ bwrap", "", cells...)
	}
}
