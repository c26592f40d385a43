package engine

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"aegis/client"
)

// TestNeeds wants every record's image and disk, and of directories only those
// that no record knows, that are old, and at whose socket nobody answers.
func TestNeeds(t *testing.T) {
	in(t, func(t *testing.T, w *world) {
		old := time.Now().Add(-2 * leftAge)
		made := func(dir string, at time.Time) string {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(dir, at, at); err != nil {
				t.Fatal(err)
			}
			return dir
		}
		left := []string{made(w.home.Run("run-old").Dir, old)}
		lost := []string{made(w.home.Instance("inst-old").Dir, old), made(w.home.TemporaryWorkspace("inst-old"), old)}
		now, err := w.Needs(t.Context())
		if err != nil || !slices.Equal(now.Left, left) {
			t.Errorf("with an empty registry: %q, %v", now.Left, err)
		}

		view := w.started(client.Create{Name: "web", Disk: 128 << 20, Image: "sha256:00"})
		made(w.home.Instance(view.ID).Dir, old)
		a, _ := w.find(t.Context(), "web")
		made(w.home.Run(a.rec.Run).Dir, old)
		made(w.home.TemporaryWorkspace("inst-young"), time.Now().Add(-leftAge/2))
		made(w.home.Instance("inst-young").Dir, time.Now().Add(-leftAge/2))
		lives := made(w.home.Run("run-lives").Dir, old)
		l, err := net.Listen("unix", filepath.Join(lives, "shim.sock"))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		made(lives, old)
		left = append(left, lost...)
		now, err = w.Needs(t.Context())
		if err != nil || !slices.Equal(now.Left, left) {
			t.Errorf("left %q, %v\nwant %q", now.Left, err, left)
		}
		if !slices.Contains(now.Images, "sha256:00") || !slices.Equal(now.Disks, []int64{128 << 20}) {
			t.Errorf("%+v", now)
		}
	})
}
