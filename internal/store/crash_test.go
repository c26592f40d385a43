package store

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"aegis/internal/instance"
)

// envVictim makes this test binary the process that is killed: it writes to the
// registry that the variable names until it ends.
const envVictim = "STORE_TEST_VICTIM"

func TestMain(m *testing.M) {
	if path := os.Getenv(envVictim); path != "" {
		victim(path)
	}
	os.Exit(m.Run())
}

// victim counts up one record's Failures and prints each number that was saved.
func victim(path string) {
	s, err := Open(path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	r := record(1)
	r.Spec.Ports = []instance.Port{{Guest: 80, IP: "127.0.0.1", Host: 8080}}
	if old, err := s.Get(context.Background(), r.ID); err == nil {
		r.Failures = old.Failures
	}
	for {
		r.Failures++
		if err := s.Put(context.Background(), r); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(r.Failures)
	}
}

// TestKilledInTheMiddle kills a writer without warning and finds each time a sound
// database that holds at least what was promised, and at most one Put more.
func TestKilledInTheMiddle(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.db")
	for round := range 8 {
		promised := killedWriter(t, path, 5+7*round)
		s, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		var verdict string
		if err := s.db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
			t.Errorf("integrity: %q, %v", verdict, err)
		}
		r, err := s.Get(t.Context(), record(1).ID)
		if err != nil || r.Failures < promised || r.Failures > promised+1 {
			t.Errorf("round %d: promised %d, found %d, %v", round, promised, r.Failures, err)
		}
		s.Close()
	}
}

// killedWriter lets a victim save so many records, kills it at once and says the
// last number that it had promised.
func killedWriter(t *testing.T, path string, lines int) (promised int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), envVictim+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	watchdog := time.AfterFunc(time.Minute, func() { cmd.Process.Kill() })
	defer watchdog.Stop()
	scan := bufio.NewScanner(out)
	for range lines {
		if !scan.Scan() {
			break
		}
		fmt.Sscan(scan.Text(), &promised)
	}
	cmd.Process.Kill()
	for scan.Scan() { // what it had printed before the signal came
		fmt.Sscan(scan.Text(), &promised)
	}
	cmd.Wait()
	if promised == 0 {
		t.Fatal("the writer saved nothing")
	}
	return promised
}

func BenchmarkPut(b *testing.B) {
	s := open(b)
	r := record(1)
	r.Spec.Command = []string{"python", "-m", "http.server", "80"}
	r.Spec.Ports = []instance.Port{{Guest: 80, IP: "127.0.0.1", Host: 8080}}
	r.SecretVersions = map[string]string{"API_KEY": "0123456789abcdef"}
	for i := range b.N {
		r.Failures = i
		r.AddWake(Wake{Stages: map[string]time.Duration{"boot": 1}})
		put(b, s, r)
	}
}

func BenchmarkList1100(b *testing.B) {
	s := open(b)
	for i := range 1100 {
		r := record(i % 1000)
		r.ID, r.Spec.Name = fmt.Sprintf("inst-%012d", i), fmt.Sprintf("web-%d", i)
		put(b, s, r)
	}
	for b.Loop() {
		if _, err := s.List(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
