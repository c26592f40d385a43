package qemu_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"aegis/internal/vmm"
	"aegis/internal/vmm/qemu"
)

// BenchmarkRestore prints the milliseconds from opening the template until the guest
// runs, until its first answer and until its second, and what is private of an idle
// clone's memory.
func BenchmarkRestore(b *testing.B) {
	snaps, _ := qemu.New(qemu.TCG).Snapshots()
	dir, cfg := template(b, snaps)
	for b.Loop() {
		start := time.Now()
		cfg.Dir = b.TempDir()
		vm, err := snaps.Restore(b.Context(), dir, cfg)
		if err != nil {
			b.Fatal(err)
		}
		runs := time.Since(start)
		control, err := vm.Channel(b.Context(), vmm.PortControl)
		if err != nil {
			b.Fatal(err)
		}
		in := bufio.NewReader(control)
		var answers [2]time.Duration
		for i := range answers {
			io.WriteString(control, "hello\n")
			if line, err := in.ReadString('\n'); err != nil || line != "hello\n" {
				b.Fatal(line, err)
			}
			answers[i] = time.Since(start)
		}
		time.Sleep(200 * time.Millisecond) // idle
		fmt.Printf("runs %5.1f ms  answer %5.1f  second %5.1f  private %5.1f MiB  resident %5.1f\n", millis(runs), millis(answers[0]),
			millis(answers[1]-answers[0]), rollup(b, vm.PID(), "Private_Dirty"), rollup(b, vm.PID(), "Rss"))
		control.Close()
		vm.Close()
	}
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// rollup is a line of /proc/PID/smaps_rollup, in MiB.
func rollup(tb testing.TB, pid int, name string) float64 {
	tb.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		tb.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^` + name + `:\s+(\d+) kB$`).FindSubmatch(text)
	if m == nil {
		tb.Fatalf("no %s in %s", name, text)
	}
	kib, _ := strconv.Atoi(string(m[1]))
	return float64(kib) / 1024
}

// toSave is a guest whose template will be in dir.
func toSave(tb testing.TB, dir string) vmm.Config {
	tb.Helper()
	image, initrd := assets(tb)
	files := make([]*os.File, 3)
	base := filepath.Join(tb.TempDir(), "base")
	if err := os.WriteFile(base, make([]byte, 1<<20), 0o600); err != nil {
		tb.Fatal(err)
	}
	for i, path := range []string{image, initrd, base} {
		f, err := os.Open(path)
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { f.Close() })
		files[i] = f
	}
	return vmm.Config{Dir: tb.TempDir(), Kernel: files[0], Initrd: files[1], CPUs: 1, Memory: 512 << 20, Template: dir,
		Ports: []vmm.Port{vmm.PortControl, vmm.PortFS}, NIC: &vmm.NIC{MAC: []byte{2, 0, 0, 0, 0, 1}, MTU: 1500},
		Disks: []vmm.Disk{{Serial: "base", File: files[2], ReadOnly: true}, {Serial: "disk"}}, Log: os.Stderr}
}

// template saves a guest that has booted, and gives what its clones are made of.
func template(tb testing.TB, snaps vmm.Snapshotter) (string, vmm.Config) {
	tb.Helper()
	cfg := toSave(tb, tb.TempDir())
	vm, err := qemu.New(qemu.TCG).Boot(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { vm.Close() })
	control, err := vm.Channel(tb.Context(), vmm.PortControl)
	if err != nil {
		tb.Fatal(err)
	}
	defer control.Close()
	if line, err := bufio.NewReader(control).ReadString('\n'); err != nil || line != "ready\n" {
		tb.Fatal(line, err)
	}
	if err := snaps.Save(tb.Context(), vm); err != nil {
		tb.Fatal(err)
	}
	dir := cfg.Template
	cfg.Kernel, cfg.Initrd, cfg.Template = nil, nil, ""
	return dir, cfg
}
