package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"aegis/internal/confine"
	"aegis/internal/fault"
	"aegis/internal/image/flatten"
	"aegis/internal/undo"
)

// flattenWord is the argument of aegisd with which it is the process that reads a
// foreign image: it has the files of its job, and nothing else.
const flattenWord = "flatten"

// The first descriptors of that process beside the standard ones. It gets its job as a
// line of standard input, whose end it must not outlive, and answers with lines.
const (
	fdOut = 3 + iota
	fdScratch
	fdIn
)

// flattenAnswer is one line: how far it is, or the end.
type flattenAnswer struct {
	Done   int64           `json:"done,omitempty"`
	Total  int64           `json:"total,omitempty"`
	Result *flatten.Result `json:"result,omitempty"`
	Kind   fault.Kind      `json:"kind,omitempty"` // of a failure
	Why    string          `json:"why,omitempty"`
}

// maxFlattenAnswer bounds all of its lines, in bytes: a config, as JSON in JSON, and
// five lines a second for hours.
const maxFlattenAnswer = 64 << 20

// flattenEvery is how often it says how far it is.
const flattenEvery = 200 * time.Millisecond

// flattener is an image.Flattener: it starts the process on the rung of confinement.
type flattener struct{ rung func() (confine.Rung, error) }

func (f flattener) do(ctx context.Context, job flatten.Job, files flatten.Files, report func(done, total int64)) (flatten.Result, error) {
	var u undo.Stack
	defer u.Run()
	rung, err := f.rung()
	if err != nil {
		return flatten.Result{}, err
	}
	self, err := confine.Self()
	if err != nil {
		return flatten.Result{}, err
	}
	if files.Scratch == nil {
		if files.Scratch, err = os.Open(os.DevNull); err != nil {
			return flatten.Result{}, err
		}
		u.Add(func() { files.Scratch.Close() })
	}
	cmd := exec.CommandContext(ctx, self, flattenWord, string(rung))
	cmd.Args[0], cmd.Env = "aegisd", []string{}
	cmd.ExtraFiles = append([]*os.File{files.Out, files.Scratch}, files.In...)
	said := &lastWords{}
	cmd.Stderr = said
	confine.Prepare(cmd, rung, confine.Nobody)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return flatten.Result{}, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return flatten.Result{}, err
	}
	if err := cmd.Start(); err != nil {
		return flatten.Result{}, fmt.Errorf("start the process that reads it: %w", err)
	}
	answer, err := converse(stdin, stdout, job, len(files.In), report)
	if err != nil {
		cmd.Process.Kill()
	}
	ended := cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return flatten.Result{}, ctx.Err()
	case err != nil:
		return flatten.Result{}, said.explain(errors.Join(err, ended))
	}
	return answer.outcome()
}

// flattenOrder is the job and how many files it has.
type flattenOrder struct {
	Job flatten.Job `json:"job"`
	In  int         `json:"in"`
}

// converse tells the process its job and hears it to its end.
func converse(stdin io.WriteCloser, stdout io.Reader, job flatten.Job, in int, report func(done, total int64)) (flattenAnswer, error) {
	defer stdin.Close()
	if err := json.NewEncoder(stdin).Encode(flattenOrder{job, in}); err != nil {
		return flattenAnswer{}, err
	}
	lines := json.NewDecoder(io.LimitReader(stdout, maxFlattenAnswer))
	for {
		var a flattenAnswer
		if err := lines.Decode(&a); err != nil {
			return a, err
		}
		if a.Result != nil || a.Kind != "" {
			return a, nil
		}
		report(a.Done, a.Total)
	}
}

// outcome believes the process only so far: it may have been taken over.
func (a flattenAnswer) outcome() (flatten.Result, error) {
	switch a.Kind {
	case "":
		return *a.Result, nil
	case fault.ImageUnusable, fault.ImageMissing:
		return flatten.Result{}, fault.New(a.Kind, "", "", "%s", a.Why)
	case fault.NoSpace:
		return flatten.Result{}, unix.ENOSPC
	}
	return flatten.Result{}, errors.New(a.Why)
}

// lastWords keeps the beginning of what a process says when it dies.
type lastWords struct{ text []byte }

// maxLastWords is enough for the reason, which comes before the stacks.
const maxLastWords = 4 << 10

func (l *lastWords) Write(p []byte) (int, error) {
	l.text = append(l.text, p[:min(len(p), maxLastWords-len(l.text))]...)
	return len(p), nil
}

// explain is why a process died in the middle of its job, without its stacks.
func (l *lastWords) explain(err error) error {
	text := string(l.text)
	if strings.Contains(text, "out of memory") || strings.Contains(text, "cannot allocate memory") {
		return fault.New(fault.ImageUnusable, "", "", "it takes more than %d MiB of memory to read", flatten.MaxMemory>>20)
	}
	first, _, _ := strings.Cut(text, "\n")
	if first == "" {
		first = err.Error()
	}
	return fault.New(fault.ImageUnusable, "", "", "the process that reads it died: %s", first)
}

// flattenMain is that process. It returns the exit status.
func flattenMain(args []string) int {
	out := json.NewEncoder(os.Stdout)
	res, err := flattenJob(args, func(done, total int64) { out.Encode(flattenAnswer{Done: done, Total: total}) })
	answer := flattenAnswer{Result: &res}
	if err != nil {
		answer = failedAnswer(err)
	}
	if out.Encode(answer) != nil {
		return 1
	}
	return 0
}

func failedAnswer(err error) flattenAnswer {
	f := fault.As(err)
	kind := f.Kind
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		kind = fault.NoSpace
	}
	const most = 2 << 10
	return flattenAnswer{Kind: kind, Why: f.Why[:min(len(f.Why), most)]}
}

func flattenJob(args []string, tell func(done, total int64)) (flatten.Result, error) {
	if len(args) != 1 {
		return flatten.Result{}, errors.New("it needs a rung of confinement; aegisd starts this program so")
	}
	debug.SetMemoryLimit(flatten.MaxMemory * 3 / 4)
	most := syscall.Rlimit{Cur: flatten.MaxMemory, Max: flatten.MaxMemory}
	if err := syscall.Setrlimit(syscall.RLIMIT_DATA, &most); err != nil {
		return flatten.Result{}, fmt.Errorf("limit the memory: %w", err)
	}
	if _, err := confine.Enter(confine.Rung(args[0]), confine.Room{Calls: confine.Open}); err != nil {
		return flatten.Result{}, err
	}
	var order flattenOrder
	in := json.NewDecoder(os.Stdin)
	if err := in.Decode(&order); err != nil {
		return flatten.Result{}, fmt.Errorf("read the job: %w", err)
	}
	go func() { // without the daemon nobody wants it
		io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	files := flatten.Files{Out: os.NewFile(fdOut, "root"), Scratch: os.NewFile(fdScratch, "scratch")}
	for i := range order.In {
		files.In = append(files.In, os.NewFile(uintptr(fdIn+i), "layer"))
	}
	var last time.Time
	return flatten.Do(order.Job, files, func(done, total int64) {
		if now := time.Now(); now.Sub(last) > flattenEvery {
			last = now
			tell(done, total)
		}
	})
}
