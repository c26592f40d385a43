package e2e

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// helperMemory is what the network helper of one guest may have resident, in MiB,
// whatever the guest does.
const helperMemory = 128

// TestHostileNetwork has a guest's root do to its network what it can, beside a
// guest that goes on as if nothing were.
func TestHostileNetwork(t *testing.T) {
	h := newHome(t)
	h.online(asRoot)
	h.program("flood.py")
	h.ok("instance", "start", "--name", "hostile", "--pause-after", "never", "--workspace", "./app")
	before := h.one("aegis-shim net")
	done := make(chan result, 1)
	go func() {
		defer close(done) // where the command has no end, too
		done <- h.run("", "exec", "hostile", "--", "python3", "flood.py", webAddr, "5")
	}()
	most := 0
	for ended := false; !ended; {
		select {
		case r := <-done:
			for _, word := range []string{"syn", "forged", "forged-mac", "fragments", "rubbish", "jumbo", "unread", "sockets"} {
				if !strings.Contains(r.stdout, word+"\n") {
					t.Errorf("it did not come to %s: %q %s", word, r.stdout, tail(r.stderr, 1000))
				}
			}
			ended = true
		case <-time.After(100 * time.Millisecond): // a look at its memory
			most = max(most, resident(before.pid))
		}
	}
	if most == 0 || most > helperMemory {
		t.Errorf("its network helper has had %d MiB, want at most %d", most, helperMemory)
	}
	t.Logf("its network helper has had %d MiB", most)
	if after := h.one("aegis-shim net"); after.pid != before.pid {
		t.Error("its network helper is another one")
	}
	h.eventually(time.Minute, "its network serves it again", func() error {
		if got := h.sh("hostile", fetch("http://web.test/")); got != page {
			return fmt.Errorf("%q", got)
		}
		return nil
	})
	if n := h.info("hostile").NetUsed; n == nil || n.Dropped < 4000 {
		t.Errorf("%+v", n)
	}
	h.ok("instance", "delete", "--force", "hostile")
}

var rss = regexp.MustCompile(`VmRSS:\s+(\d+) kB`)

// resident is the memory of a process, in MiB; 0 when it has gone.
func resident(pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	found := rss.FindSubmatch(text)
	if err != nil || found == nil {
		return 0
	}
	kib, _ := strconv.Atoi(string(found[1]))
	return kib >> 10
}
