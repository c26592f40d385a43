//go:build linux

package guest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"aegis/internal/netstack"
	"aegis/internal/vmm"
	"aegis/internal/wire"
)

// oneServer dials one server, whatever the address.
type oneServer struct{ addr string }

func (o oneServer) Dial(ctx context.Context, network string, to netip.AddrPort) (net.Conn, error) {
	if network != netstack.TCP || to != netip.MustParseAddrPort("93.184.216.34:80") {
		return nil, errors.New("denied")
	}
	return new(net.Dialer).DialContext(ctx, "tcp", o.addr)
}

func (oneServer) Resolve(context.Context, string, uint16) ([]byte, error) {
	return nil, errors.New("no names here")
}

// TestTAP is a guest without a network device: its frames go through a TAP and over
// a port, as monitors need that have no such device.
func TestTAP(t *testing.T) {
	b := boot(t, blankDisk(t), vmm.PortNet)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "through the TAP")
		w.Write(make([]byte, 4<<20))
	}))
	defer web.Close()
	mac := net.HardwareAddr{2, 1, 2, 3, 4, 5}
	frames, err := b.vm.Channel(t.Context(), vmm.PortNet)
	if err != nil {
		t.Fatal(err)
	}
	one := oneServer{web.Listener.Addr().String()}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- netstack.Serve(ctx, frames, netstack.Config{MAC: mac, Dialer: one, Resolver: one}) }()
	defer func() {
		cancel()
		<-served
	}()
	b.network = &wire.Network{MAC: mac.String(), MTU: netstack.MTU, TAP: true,
		Addresses: []string{netstack.Guest4.String()}, Gateways: []string{netstack.Gateway4.String()}, Servers: []string{netstack.Gateway4.String()}}
	if _, err := b.start(t, wire.Process{Args: []string{"sleep", "infinity"}}); err != nil {
		t.Fatal(err)
	}
	out, exit := b.exec(t, "get", "sh", "-c", "curl -sS -m 60 -o /tmp/page http://93.184.216.34/ && head -c 15 /tmp/page && wc -c < /tmp/page")
	if out != "through the TAP4194319\n" || exit.Status() != 0 {
		t.Errorf("%q, %+v", out, exit)
	}
	if out, exit := b.exec(t, "denied", "curl", "-sS", "-m", "20", "http://10.0.0.1/"); exit.Status() != 7 {
		t.Errorf("a denied address: %q, %+v", out, exit)
	}
}
