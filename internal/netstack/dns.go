package netstack

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
)

// Sizes of a DNS message over UDP, in bytes: what RFC 1035 allows, and the most that
// a guest is given however large it says its buffer is (RFC 6891).
const (
	dnsPort   = 53
	plainUDP  = 512
	largeUDP  = 4096
	maxDNS    = 65535
	maxAnswer = maxDNS
)

// serveDNS answers at port 53 of a gateway, over UDP and TCP.
func (n *network) serveDNS(gateway netip.Addr) error {
	at := tcpip.FullAddress{NIC: nic, Addr: tcpip.AddrFromSlice(gateway.AsSlice()), Port: dnsPort}
	packets, err := gonet.DialUDP(n.stack, &at, nil, protocol(gateway))
	if err != nil {
		return fmt.Errorf("serve DNS: %w", err)
	}
	listener, err := gonet.ListenTCP(n.stack, at, protocol(gateway))
	if err != nil {
		return fmt.Errorf("serve DNS: %w", err)
	}
	context.AfterFunc(n.ctx, func() { packets.Close(); listener.Close() })
	busy := newSlots(maxQueries)
	go n.dnsPackets(packets, busy)
	go n.dnsStreams(listener, busy)
	return nil
}

func (n *network) dnsPackets(conn net.PacketConn, busy slots) {
	buf := make([]byte, largeUDP)
	for {
		size, from, err := conn.ReadFrom(buf)
		if err != nil {
			if n.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		if !busy.take() {
			continue // the guest asks again
		}
		query := append([]byte(nil), buf[:size]...)
		go func() {
			defer busy.give()
			if answer := n.answer(query, true); answer != nil {
				conn.WriteTo(answer, from)
			}
		}()
	}
}

func (n *network) dnsStreams(l net.Listener, busy slots) {
	open := newSlots(maxDNSTCP)
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		if !open.take() {
			conn.Close()
			continue
		}
		go func() {
			defer open.give()
			defer conn.Close()
			n.dnsStream(conn, busy)
		}()
	}
}

// dnsStream answers one question after the other (RFC 7766), each behind its
// length in two bytes.
func (n *network) dnsStream(conn net.Conn, busy slots) {
	for {
		conn.SetDeadline(time.Now().Add(dnsIdle))
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return
		}
		query := make([]byte, min(int(binary.BigEndian.Uint16(size[:])), largeUDP))
		if _, err := io.ReadFull(conn, query); err != nil || len(query) != int(binary.BigEndian.Uint16(size[:])) {
			return
		}
		if !busy.take() {
			return
		}
		answer := n.answer(query, false)
		busy.give()
		if answer == nil {
			return
		}
		conn.SetDeadline(time.Now().Add(dnsIdle))
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return
		}
	}
}

// answer is the reply to a query, or nil when it deserves none.
func (n *network) answer(query []byte, packet bool) []byte {
	q, ok := parseQuery(query)
	if !ok {
		return nil
	}
	n.cfg.Counters.Queries.Add(1)
	if q.refuse != dnsmessage.RCodeSuccess {
		return q.empty(q.refuse, false)
	}
	found, err := n.cfg.Resolver.Resolve(n.ctx, q.question.Name.String(), uint16(q.question.Type))
	if err != nil || len(found) < dnsHeader || len(found) > maxAnswer {
		return q.empty(dnsmessage.RCodeServerFailure, false)
	}
	if packet && len(found) > q.room {
		return q.empty(dnsmessage.RCodeSuccess, true)
	}
	answer := append([]byte(nil), found...)
	binary.BigEndian.PutUint16(answer, q.id)
	return answer
}
