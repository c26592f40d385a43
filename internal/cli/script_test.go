package cli

import (
	"archive/tar"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"aegis/client"
	"aegis/internal/api/apitest"
	"aegis/internal/fault"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"aegis":  func() { os.Exit(Main(os.Args[1:])) },
		"aegisd": fakeDaemon,
	})
}

// TestScripts runs each script against a daemon in memory, at the real socket of
// a home of its own.
//
//	code N COMMAND…      run and want this exit status
//	absent               no daemon runs yet: the stand-in of daemon_test.go is started
//	dying N              the next N connections end without an answer, as those to a daemon
//	                     that was killed a moment ago; then no daemon runs
//	fail CALL CODE SUBJECT WHAT WHY
//	                     a call of the service fails from now on
//	stall CALL           a call of the service waits for the end of the script from now on
//	unready              kernel and image are missing
//	log FILE             what every log holds
//	happened NAME KIND…  what has happened to an instance
//	ended CODE SIGNAL REASON ERROR
//	                     how lives end, for wait, which else waits for ever
//	calls                write the service's calls, but Status, to the file calls
//	reached CALL         wait for a call; of one that waits, "stalled CALL"
//	tar FILE TYPE NAME LINK…
//	                     write a tar stream of entries: file, dir, link, hard, char
//	value NAME FILE      compare a stored secret, byte by byte
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata", Setup: prepare,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code": code, "absent": absent, "dying": dying, "fail": fail, "stall": stall, "unready": unready, "log": logLines, "ended": ended, "happened": happened, "calls": calls, "tar": tarFile, "reached": reached, "value": value,
		},
	})
}

// scene is the daemon of one script.
type scene struct {
	*apitest.Fake
	stop func()

	mu      sync.Mutex
	fails   map[string]error
	stalls  map[string]bool
	stalled []string      // the calls that wait
	over    chan struct{} // closed at the script's end
}

type sceneKey struct{}

func sceneOf(ts *testscript.TestScript) *scene { return ts.Value(sceneKey{}).(*scene) }

func prepare(env *testscript.Env) error {
	home, err := os.MkdirTemp("", "aegis") // WorkDir is too long for a socket
	if err != nil {
		return err
	}
	env.Defer(func() { os.RemoveAll(home) })
	env.Setenv("AEGIS_HOME", home)
	env.Setenv("NO_COLOR", "1")
	s := &scene{fails: map[string]error{}, stalls: map[string]bool{}, over: make(chan struct{})}
	s.Fake = &apitest.Fake{Wake: client.Wake{From: "STOPPED", Origin: "pool", MS: 12, Stages: map[string]float64{"resume": 1.5, "disk": 2}}, Fails: s.failure, Root: filepath.Join(env.WorkDir, "guest")}
	if err := os.MkdirAll(s.Root, 0o700); err != nil {
		return err
	}
	if s.stop, err = s.Serve(filepath.Join(home, "aegisd.sock")); err != nil {
		return err
	}
	env.Defer(func() { close(s.over); s.stop() })
	env.Values[sceneKey{}] = s
	return nil
}

// failure looks a call up by its first word.
func (s *scene) failure(call string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, _, _ := strings.Cut(call, " ")
	if s.stalls[name] {
		s.stalled = append(s.stalled, "stalled "+call)
		s.mu.Unlock()
		<-s.over
		s.mu.Lock()
	}
	return s.fails[name]
}

// waiting are the calls that stall.
func (s *scene) waiting() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.stalled)
}

func code(ts *testscript.TestScript, neg bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if want, _ := strconv.Atoi(args[0]); got != want || neg {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
}

func absent(ts *testscript.TestScript, _ bool, _ []string) { sceneOf(ts).stop() }

func dying(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	socket, err := net.Listen("unix", ts.Getenv("AEGIS_HOME")+"/aegisd.sock")
	ts.Check(err)
	go func() {
		defer socket.Close()
		for range n {
			if c, err := socket.Accept(); err == nil {
				c.Close()
			}
		}
	}()
}

func fail(ts *testscript.TestScript, _ bool, args []string) {
	s := sceneOf(ts)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails[args[0]] = &fault.Error{Kind: fault.Kind(args[1]), Subject: args[2], What: args[3], Why: args[4]}
}

func stall(ts *testscript.TestScript, _ bool, args []string) {
	s := sceneOf(ts)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stalls[args[0]] = true
}

func unready(ts *testscript.TestScript, _ bool, _ []string) {
	s := sceneOf(ts)
	s.Unready, s.Kernel = true, false
	s.Steps = []client.Progress{{Step: "kernel", Message: "unpacking"}, {Step: "image", Message: "building", Done: 1, Total: 4}}
}

func logLines(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	sceneOf(ts).Log = apitest.Text(text)
}

func happened(ts *testscript.TestScript, _ bool, args []string) {
	s := sceneOf(ts)
	for _, kind := range args[1:] {
		s.News = append(s.News, client.Event{Seq: uint64(len(s.News) + 1), TS: apitest.Epoch, Event: kind, InstanceID: "inst-aaaaaaaaaaaa", Name: args[0]})
	}
}

func ended(ts *testscript.TestScript, _ bool, args []string) {
	exit := client.Exit{Reason: args[2], Error: args[3], At: apitest.Epoch}
	exit.Code, _ = strconv.Atoi(args[0])
	exit.Signal, _ = strconv.Atoi(args[1])
	sceneOf(ts).Exit = &exit
}

func calls(ts *testscript.TestScript, _ bool, _ []string) {
	var out strings.Builder
	for _, c := range sceneOf(ts).Calls() {
		if c != "Status" {
			out.WriteString(c + "\n")
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs("calls"), []byte(out.String()), 0o600))
}

// tarFile writes a stream that a guest might send.
func tarFile(ts *testscript.TestScript, _ bool, args []string) {
	types := map[string]byte{"file": tar.TypeReg, "dir": tar.TypeDir, "link": tar.TypeSymlink, "hard": tar.TypeLink, "char": tar.TypeChar}
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	defer f.Close()
	w := tar.NewWriter(f)
	for i := 1; i+2 < len(args); i += 3 {
		ts.Check(w.WriteHeader(&tar.Header{Typeflag: types[args[i]], Name: args[i+1], Linkname: args[i+2], Mode: 0o755, ModTime: apitest.Epoch}))
	}
	ts.Check(w.Close())
}

// reached polls, since the call comes from another process.
func reached(ts *testscript.TestScript, _ bool, args []string) {
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		for _, c := range append(sceneOf(ts).Calls(), sceneOf(ts).waiting()...) {
			if strings.HasPrefix(c, args[0]) {
				return
			}
		}
	}
	ts.Fatalf("the call %q never came", args[0])
}

func value(ts *testscript.TestScript, _ bool, args []string) {
	if got, want := string(sceneOf(ts).Value(args[0])), ts.ReadFile(args[1]); got+"\n" != want {
		ts.Fatalf("secret %s is %q, want %q without its newline", args[0], got, want)
	}
}
