package e2e

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The lab's machine is 10 to 20 times as slow as others, and so is the message that sets a clock.
var (
	clock        = flag.Duration("clock", 50*time.Millisecond, "by how much a guest's clock may differ from the host's")
	clonesTested = flag.Int("clones", 20, "how many runs TestPool compares")
)

// common is what instances may have in common, of what testdata/guest/own.py prints.
var common = map[string]string{"randomize": "2"}

// startedFrom is a line of `run --timings`.
var startedFrom = regexp.MustCompile(`(?m)^start \((\w+)\)`)

// ask runs own.py by a command of aegis that ends with a program, checks the clock, and
// gives what the instance said of itself, and what the command printed beside it.
func (h *home) askOwn(args ...string) (said map[string]string, stderr string) {
	h.t.Helper()
	program, err := os.ReadFile("testdata/guest/own.py")
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(h.t.Context(), commandTime)
	defer cancel()
	cmd := h.command(ctx, append(args, "--", "python3", "-c", string(program))...)
	var notes strings.Builder
	cmd.Stderr = &notes
	in, out, err := pipes(cmd)
	if err != nil {
		h.t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	said = map[string]string{}
	var before, after time.Time
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		said[name] = value
		switch name {
		case "ready":
			before = time.Now()
			io.WriteString(in, "now\n")
		case "clock":
			after = time.Now()
		}
	}
	if err := cmd.Wait(); err != nil || len(said) != 16 {
		h.t.Fatalf("%v: %v, %v\n%s", args, said, err, &notes)
	}
	seconds, err := strconv.ParseFloat(said["clock"], 64)
	if now := time.UnixMicro(int64(seconds * 1e6)); err != nil || now.Before(before.Add(-*clock)) || now.After(after.Add(*clock)) {
		h.t.Errorf("%v: its clock says %s, between %s and %s of the host's: %v", args, now, before, after, err)
	}
	delete(said, "ready")
	delete(said, "clock")
	return said, notes.String()
}

// pipes starts a command with both ends of its streams here.
func pipes(cmd *exec.Cmd) (io.Writer, io.Reader, error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	return in, out, cmd.Start()
}

// comparing keeps the ones who ask at once apart.
var comparing sync.Mutex

// apart holds that what an instance said of itself was said by none before.
func (h *home) apart(seen map[string]string, who string, said map[string]string) {
	h.t.Helper()
	comparing.Lock()
	defer comparing.Unlock()
	for name, value := range said {
		if want, ok := common[name]; ok {
			if value != want {
				h.t.Errorf("%s: %s is %q, want %q", who, name, value, want)
			}
			continue
		}
		if other, ok := seen[name+" "+value]; ok {
			h.t.Errorf("%s and %s have both the %s %q", who, other, name, value)
		}
		seen[name+" "+value] = who
	}
	if strings.HasPrefix(said["boot-id"], "00000000") {
		h.t.Errorf("%s: its boot ID is %s", who, said["boot-id"])
	}
}

// own compares a running instance with those before.
func (h *home) own(seen map[string]string, name string) {
	h.t.Helper()
	said, _ := h.askOwn("exec", name)
	h.apart(seen, name, said)
}

// clones runs instances one after another, each to be made from the pool, and compares
// them with those before: each fourth by all.
func (h *home) clones(seen map[string]string) {
	h.t.Helper()
	for i := range *clonesTested {
		h.stocked(1, 1)
		clone := h.cloneOfKernel
		if i%4 == 0 {
			clone = h.clone
		}
		clone(seen, fmt.Sprintf("run %d", i), "pool")
	}
}

// clone runs an instance that has to be made from that, and compares it with those before.
func (h *home) clone(seen map[string]string, who, origin string) {
	h.t.Helper()
	said, notes := h.askOwn("run", "--timings")
	h.madeFrom(who, origin, notes)
	delete(said, "hostname") // one of four thousand, and free again since the run before has ended
	h.apart(seen, who, said)
}

// cloneOfKernel is clone without what programs make of the kernel's randomness, in half the time.
func (h *home) cloneOfKernel(seen map[string]string, who, origin string) {
	h.t.Helper()
	program, err := os.ReadFile("testdata/guest/own.sh")
	if err != nil {
		h.t.Fatal(err)
	}
	r := h.run("", "run", "--timings", "--", "bash", "-c", string(program))
	said := map[string]string{}
	for line := range strings.Lines(r.stdout) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		said[name] = value
	}
	if r.code != 0 || len(said) != 7 {
		h.t.Fatalf("%s: %v, %+v", who, said, r)
	}
	h.madeFrom(who, origin, r.stderr)
	h.apart(seen, who, said)
}

// madeFrom wants notes of `run --timings` to say what a run was made from.
func (h *home) madeFrom(who, origin, notes string) {
	h.t.Helper()
	if from := startedFrom.FindStringSubmatch(notes); from == nil || from[1] != origin {
		h.t.Errorf("%s came from %q, not from the %s:\n%s", who, from, origin, notes)
	}
}

// clonesAlike is how many clones there are, and wholeOf how many of these for each that is
// asked for all, if it is not said otherwise.
const (
	clonesAlike = 100
	wholeOf     = 20
)

// TestClones compares instances, all from one template, two at a time: by what their kernels
// give, and some by all. With AEGIS_TEST_CLONES there are so many, and each is asked for all.
func TestClones(t *testing.T) {
	templated(t)
	n, whole := number(t, "AEGIS_TEST_CLONES", 0), uint64(1)
	if n == 0 {
		n, whole = clonesAlike, wholeOf
	}
	h := newHome(t)
	h.stock(0)
	h.ok(words("run -- true")...)
	h.stocked(1, 0)
	seen := map[string]string{}
	var next atomic.Uint64
	t.Run("at a time", func(t *testing.T) {
		for lane := range 2 {
			t.Run(strconv.Itoa(lane), func(t *testing.T) {
				t.Parallel()
				for i := next.Add(1); i <= n && !t.Failed(); i = next.Add(1) {
					clone := (*home).cloneOfKernel
					if i%whole == 0 {
						clone = (*home).clone
					}
					clone(h.in(t), seen, fmt.Sprintf("clone %d", i), "template")
					if i%50 == 0 {
						t.Logf("%d clones are unlike each other", i)
					}
				}
			})
		}
	})
	t.Logf("%d clones have %d things that none other has", n, len(seen))
}
