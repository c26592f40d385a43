package confine

import (
	"encoding/json"
	"os"
	"os/exec"
	"testing"
)

// TestRootWithoutCapabilities is user 0 as many containers have it: it finds a rung as
// any other user does, and takes no way that is root's.
func TestRootWithoutCapabilities(t *testing.T) {
	if !Root() {
		t.Skip("pending: only root can give its capabilities away")
	}
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		t.Skip("pending: " + err.Error())
	}
	out, err := exec.Command(setpriv, "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs", os.Args[0], LadderWord, t.TempDir()).Output()
	if err != nil {
		t.Fatal(err)
	}
	var found Found
	if err := json.Unmarshal(out, &found); err != nil {
		t.Fatal(err)
	}
	if !found.Rung.On() || !found.Rung.Landlock() {
		t.Errorf("%+v, want a rung with Landlock", found)
	}
}
