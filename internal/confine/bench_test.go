//go:build linux

package confine

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"
)

// readyWord starts a helper that is confined, and ends.
const readyWord = "ready" // RUNG DETACHED

func readyMain(rung Rung, detached bool) error {
	_, err := Enter(rung, Room{Calls: Files, Dir: os.NewFile(firstFile, "served"), Detached: detached})
	return err
}

// BenchmarkStart measures what a rung adds to the start of a helper with a directory,
// and of a monitor with the needs of QEMU: start to end of a process that does nothing,
// each in turns with the same one unconfined. The metrics are medians.
func BenchmarkStart(b *testing.B) {
	for _, part := range []struct {
		name  string
		start func(*testing.B, Rung)
	}{{"helper", startHelper}, {"monitor", startMonitor}} {
		b.Run(part.name, func(b *testing.B) {
			took := map[Rung][]time.Duration{}
			for b.Loop() {
				for _, rung := range Rungs {
					began := time.Now()
					part.start(b, rung)
					took[rung] = append(took[rung], time.Since(began))
				}
			}
			for _, rung := range Rungs {
				slices.Sort(took[rung])
				median := took[rung][len(took[rung])/2]
				b.ReportMetric(float64(median.Microseconds())/1000, fmt.Sprintf("ms/%s", rung))
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

func startHelper(b *testing.B, rung Rung) {
	f, err := os.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	detached := ""
	if rung.Namespaces() && os.Geteuid() == 0 {
		tree, err := Detach(f, false)
		if err != nil {
			b.Fatal(err)
		}
		defer tree.Close()
		f, detached = tree, "detached"
	}
	cmd := exec.Command("/proc/self/exe", readyWord, string(rung), detached)
	cmd.Env, cmd.ExtraFiles = []string{}, []*os.File{f}
	Prepare(cmd, rung, Caller())
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v %s", rung, err, out)
	}
}

func startMonitor(b *testing.B, rung Rung) {
	cmd := exec.Command("/bin/true")
	cmd.Env = []string{}
	done, err := Stage(cmd, Stay{Rung: rung, Needs: []Need{{"/bin/true", Run}, {"/lib64/ld-linux-x86-64.so.2", Run}, {"/lib/x86_64-linux-gnu", Libraries},
		{"/lib/ld-linux-aarch64.so.1", Run}, {"/lib/aarch64-linux-gnu", Libraries},
		{"/usr/share/qemu", Read}, {"/usr/share/seabios", Read}, {"/etc/ld.so.cache", Read}, {"/dev/urandom", Device}}})
	if err != nil {
		b.Fatal(err)
	}
	defer done()
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v %s", rung, err, out)
	}
}
