package qemu_test

import (
	"bufio"
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"aegis/internal/vmm"
)

// A wrong TSC rate makes the guest's clock run fast or slow by as much.
func TestGuestClockKeepsTime(t *testing.T) {
	image, initrd := assets(t)
	vm := boot(t, image, initrd, stamps{new(bytes.Buffer), make(chan time.Time, 1)})
	conn, err := vm.Channel(t.Context(), vmm.PortControl)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(2 * time.Minute))
	in := bufio.NewReader(conn)
	in.ReadString('\n')
	// A reading is as exact as its round trip is short, so the tightest of several counts.
	read := func() (guest, host time.Duration, slack time.Duration) {
		slack = time.Hour
		for range 30 {
			before := time.Now()
			fmt.Fprintln(conn, "clock")
			line, err := in.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			n, _ := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
			if trip := time.Since(before); trip < slack {
				slack, guest, host = trip, time.Duration(n), time.Since(epoch)-trip/2
			}
		}
		return guest, host, slack
	}
	g0, h0, s0 := read()
	const span = 3 * time.Second
	<-time.After(span)
	g1, h1, s1 := read()
	ratio := float64(g1-g0) / float64(h1-h0)
	bound := 1e-3 + float64(s0+s1)/2/float64(span)
	t.Logf("the guest's clock runs at %.6f of the host's, read to within %v", ratio, (s0+s1)/2)
	if ratio < 1-bound || ratio > 1+bound {
		t.Errorf("the guest's clock runs at %.5f of the host's", ratio)
	}
}

var epoch = time.Now()
