package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLogIsBounded writes many times the bound, by the logger and past it.
func TestLogIsBounded(t *testing.T) {
	dir := t.TempDir()
	l := &logFile{path: filepath.Join(dir, "log"), earlier: filepath.Join(dir, "earlier"), max: 1000}
	var err error
	if l.out, err = os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		t.Fatal(err)
	}
	defer l.out.Close()
	l.fds = []int{int(l.out.Fd())}
	log := newLog(l)
	for n := range 200 {
		log.Info("something", "n", n)
	}
	fmt.Fprintln(l.out, "panic: past the logger")
	now, _ := os.ReadFile(l.path)
	before, _ := os.ReadFile(l.earlier)
	if len(now) == 0 || len(now) > 1100 || len(before) < 900 || len(before) > 1000 {
		t.Errorf("%d and %d bytes", len(now), len(before))
	}
	text := string(before) + string(now)
	if !strings.HasSuffix(text, "n=199\npanic: past the logger\n") {
		t.Errorf("the end is not there:\n%s", now)
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for k, line := range lines[:len(lines)-1] {
		if !strings.HasSuffix(line, fmt.Sprintf("n=%d", 200-len(lines)+1+k)) {
			t.Errorf("line %d of %d: %s", k, len(lines), line)
		}
	}
	if info, err := os.Stat(l.path); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

// TestLogThatCannotTurnGoesOn.
func TestLogThatCannotTurnGoesOn(t *testing.T) {
	dir := t.TempDir()
	l := &logFile{path: filepath.Join(dir, "log"), earlier: filepath.Join(dir, "no", "earlier"), max: 10}
	var err error
	if l.out, err = os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		t.Fatal(err)
	}
	defer l.out.Close()
	l.fds = []int{int(l.out.Fd())}
	for range 3 {
		l.Write([]byte("12345678\n"))
	}
	if text, _ := os.ReadFile(l.path); string(text) != strings.Repeat("12345678\n", 3) {
		t.Errorf("%q", text)
	}
}
