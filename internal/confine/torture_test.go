//go:build linux

package confine

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestTorture holds that the Go runtime needs no call that a helper's filter does not
// have: whatever is not in it ends the process at once.
func TestTorture(t *testing.T) {
	plain(t)
	program := worldProgram(t) // before others fork, which would have it open for writing
	for _, kind := range []string{kindFS, kindNet, kindOpen} {
		for _, rung := range []Rung{Full, NoNamespaces} {
			t.Run(kind+"/"+string(rung), func(t *testing.T) {
				t.Parallel()
				out, err := tortured(t, program, tortureWord, kind, rung)
				if err != nil || !strings.HasSuffix(out, "survived\n") {
					t.Errorf("%v: %s", err, out)
				}
			})
		}
	}
}

// TestTortureSealed is the same for a shim, to which most calls are left.
func TestTortureSealed(t *testing.T) {
	plain(t)
	out, err := tortured(t, worldProgram(t), tortureWord, kindShim, NoNamespaces)
	if err != nil || !strings.HasSuffix(out, "survived\n") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestPanicIsTold holds that a helper which ends by a fault of its own says so, and is
// not ended by its filter before.
func TestPanicIsTold(t *testing.T) {
	plain(t)
	out, _ := tortured(t, worldProgram(t), panicWord, kindNet, Full)
	if !strings.Contains(out, "panic: told\n") || !strings.HasSuffix(out, "exit status 2\n") {
		t.Error(out)
	}
}

// TestForeignTable holds that the calls of another table end the process, and are not
// taken for those with the same number.
func TestForeignTable(t *testing.T) {
	plain(t)
	if runtime.GOARCH != "amd64" {
		t.Skip("there is one table only")
	}
	for _, kind := range []string{kindVMM, kindNet} {
		if out, _ := tortured(t, worldProgram(t), foreignWord, kind, Full); out != "signal: bad system call\n" {
			t.Errorf("%s: %s", kind, out)
		}
	}
}

func tortured(t *testing.T, program, word, kind string, rung Rung) (string, error) {
	t.Helper()
	reached(t, rung, t.TempDir())
	cmd := exec.Command(program, launchWord, word, kind, string(rung), fmt.Sprintf(`{"Port":%d}`, hears(t)))
	cmd.Env = []string{}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// foreignWord is a probe's: it makes a call of the x32 table.
const foreignWord = "foreign"

// tortureMain is confined with a filter that kills, and then does what the word says.
func tortureMain(word, kind string, rung Rung, detached bool) error {
	room := Room{Calls: Frames}
	switch kind {
	case kindFS:
		room = Room{Calls: Files, Dir: os.NewFile(firstFile, "served"), Detached: detached}
	case kindOpen:
		room = Room{Calls: Open}
	}
	var kept Kept
	switch kind {
	case kindVMM:
	case kindShim:
		if err := Seal(rung, ownReach); err != nil {
			return err
		}
	default:
		var err error
		if kept, err = enter(rung, room, unix.SECCOMP_RET_KILL_PROCESS); err != nil {
			return err
		}
	}
	switch word {
	case foreignWord:
		return call(0x40000000 + unix.SYS_GETPID)
	case panicWord:
		go panic("told")
		select {}
	}
	for began := time.Now(); time.Since(began) < runtimePeriod; {
		var work []func() error
		work = append(work, collect, multiply, wait, interrupt, threads, recoverAll, procs)
		switch kind {
		case kindFS:
			work = append(work, func() error { return useFiles(kept) })
		case kindNet:
			work = append(work, useSocket)
		}
		var all sync.WaitGroup
		failed := make(chan error, len(work))
		for _, one := range work {
			all.Go(func() { failed <- one() })
		}
		all.Wait()
		close(failed)
		for err := range failed {
			if err != nil {
				return err
			}
		}
	}
	fmt.Println("survived")
	return nil
}

// runtimePeriod is longer than the second after which the runtime looks again how many
// processors it may use.
const runtimePeriod = 1500 * time.Millisecond

// collect makes garbage of all sizes, and collects it.
func collect() error {
	var kept [64][]byte
	for i := range 4096 {
		kept[i%len(kept)] = bytes.Repeat([]byte{1}, 1<<(i%19))
	}
	runtime.GC()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if m.NumGC == 0 {
		return errors.New("nothing was collected")
	}
	return nil
}

// multiply runs thousands of goroutines at once, that deepen their stacks, spin and
// wait for one another.
func multiply() error {
	const many = 4000
	var all sync.WaitGroup
	var mu sync.Mutex
	start, sum := make(chan struct{}), 0
	for range many {
		all.Go(func() {
			<-start
			n := deep(60)
			mu.Lock()
			defer mu.Unlock()
			sum += n
		})
	}
	close(start)
	all.Wait()
	if sum != 60*many {
		return fmt.Errorf("%d of %d", sum, 60*many)
	}
	return nil
}

func deep(n int) int {
	var frame [128]byte
	if n == 0 {
		return int(frame[0])
	}
	runtime.Gosched()
	return 1 + deep(n-1)
}

// wait uses timers of all kinds.
func wait() error {
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	done := make(chan struct{})
	time.AfterFunc(5*time.Millisecond, func() { close(done) })
	for range 5 {
		<-ticker.C
	}
	<-done
	time.Sleep(time.Microsecond)
	select {
	case <-time.After(time.Millisecond):
	case <-make(chan struct{}):
	}
	return nil
}

// interrupt takes a signal of each kind that a process sends itself, and one that
// nobody waits for.
func interrupt() error {
	c := make(chan os.Signal, 8)
	signal.Notify(c, unix.SIGUSR1, unix.SIGHUP)
	defer signal.Stop(c)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	signal.Ignore(unix.SIGUSR2)
	for _, s := range []syscall.Signal{unix.SIGUSR1, unix.SIGHUP, unix.SIGUSR2, unix.SIGURG} {
		if err := unix.Tgkill(os.Getpid(), unix.Gettid(), s); err != nil {
			return err
		}
	}
	<-c
	<-c
	return nil
}

// threads has threads of its own that end, and more that are blocked.
func threads() error {
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() { runtime.LockOSThread() }) // ends with its goroutine
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer w.Close()
	defer r.Close()
	raw := int(r.Fd()) // and blocks from here on
	for range 50 {
		all.Go(func() { unix.Read(raw, make([]byte, 1)) })
	}
	if _, err := w.Write(make([]byte, 50)); err != nil {
		return err
	}
	all.Wait()
	return nil
}

// recoverAll recovers from panics, those of the processor included.
func recoverAll() error {
	for _, fault := range []func(){
		func() { panic("x") },
		func() { var p *int; *p = 1 },
		func() { var s []int; _ = s[len(os.Args)+1] },
	} {
		func() {
			defer func() { debug.Stack(); recover() }()
			fault()
		}()
	}
	_, err := rand.Read(make([]byte, 1<<16))
	return err
}

// procs changes how many threads run, while all of them spin.
func procs() error {
	before := runtime.GOMAXPROCS(0)
	defer runtime.SetDefaultGOMAXPROCS()
	stop := make(chan struct{})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for n := 0; ; n++ { // is preempted by signals
				if n%(1<<20) == 0 {
					select {
					case <-stop:
						return
					default:
					}
				}
			}
		})
	}
	for _, n := range []int{1, before + 2, before} {
		runtime.GOMAXPROCS(n)
		time.Sleep(time.Millisecond)
	}
	close(stop)
	all.Wait()
	return nil
}

// useSocket does what a helper does with a socket that was passed to it.
func useSocket() error {
	fd, err := unix.FcntlInt(passed, unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), "passed")
	conn, err := net.FileConn(f)
	f.Close()
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := conn.Write([]byte("x")); err != nil {
		return err
	}
	conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("nothing answers, but: %v", err)
	}
	return nil
}

// useFiles does what a helper does with its directory.
func useFiles(kept Kept) error {
	name := rand.Text()
	fd, err := unix.Openat(int(kept.Dir.Fd()), name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	if _, err := f.WriteAt([]byte("text"), 1<<16); err != nil {
		return err
	}
	if n, err := io.Copy(io.Discard, f); err != nil || n != 1<<16+4 {
		return fmt.Errorf("read %d: %v", n, err)
	}
	if err := errors.Join(f.Truncate(0), f.Sync(), f.Chmod(0o640)); err != nil {
		return err
	}
	if _, err := f.Stat(); err != nil {
		return err
	}
	return unix.Unlinkat(int(kept.Dir.Fd()), name, 0)
}
