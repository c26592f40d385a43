// Package resolve asks the host's name servers, as the host's own programs do, for
// records of any type and with their time to live, which the standard library does
// not tell.
//
// Who calls it: the shim, for its guest. It decides nothing about who may ask what,
// and it keeps no cache: servers have one.
package resolve

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// Bounds of one question.
const (
	perServer = 3 * time.Second // for one answer of one server
	rounds    = 2               // through the list of servers
	maxChain  = 8               // questions that one chain of aliases may cost
	maxPacket = 4096            // bytes over UDP; longer answers come over TCP
	maxCount  = 512             // records of an answer that are looked at
	hostsTTL  = 60              // seconds, of what /etc/hosts says
)

// Answer is what is known of a name.
type Answer struct {
	Code    dnsmessage.RCode
	Records []dnsmessage.Resource // aliases first, as servers send them
	Addrs   []netip.Addr          // to which the name leads, along its aliases
	TTL     time.Duration         // the shortest of the records that lead there
}

// Host resolves as this host does. The zero value reads /etc/resolv.conf and
// /etc/hosts; the paths are there for tests.
type Host struct {
	Conf, Hosts string

	mu   sync.Mutex
	conf cached[Conf]
	file cached[map[string][]netip.Addr]
}

// Lookup answers a question. name is absolute, with or without its last dot. An
// answer without records, or with a code, is no error.
func (h *Host) Lookup(ctx context.Context, name string, qtype dnsmessage.Type) (Answer, error) {
	full, err := dnsmessage.NewName(strings.TrimSuffix(name, ".") + ".")
	if err != nil {
		return Answer{Code: dnsmessage.RCodeFormatError}, nil
	}
	conf, hosts := h.read()
	if known, ok := hosts[strings.ToLower(strings.TrimSuffix(name, "."))]; ok && isAddress(qtype) {
		return fromHosts(full, known, qtype), nil
	}
	var all Answer
	next := full
	for range maxChain {
		part, err := query(ctx, conf.Servers, next, qtype)
		if err != nil {
			return Answer{}, fmt.Errorf("look up %q: %w", full, err)
		}
		all.Code, all.Records = part.RCode, append(all.Records, part.Answers[:min(len(part.Answers), maxCount)]...)
		if len(all.Records) > maxCount {
			return Answer{Code: dnsmessage.RCodeServerFailure}, nil
		}
		end, alias := all.follow(full)
		if !alias || strings.EqualFold(end.String(), next.String()) || len(all.Addrs) > 0 || qtype == dnsmessage.TypeCNAME {
			return all, nil
		}
		if part.RCode != dnsmessage.RCodeSuccess || has(all.Records, end, qtype) {
			return all, nil
		}
		next = end
	}
	return Answer{Code: dnsmessage.RCodeServerFailure}, nil
}

func isAddress(t dnsmessage.Type) bool { return t == dnsmessage.TypeA || t == dnsmessage.TypeAAAA }

func has(records []dnsmessage.Resource, name dnsmessage.Name, qtype dnsmessage.Type) bool {
	for _, r := range records {
		if r.Header.Type == qtype && strings.EqualFold(r.Header.Name.String(), name.String()) {
			return true
		}
	}
	return false
}

// follow goes along the aliases from name and keeps the addresses at their end. It
// returns that end, and whether there is an alias at all. Records that the chain
// does not lead to count for nothing.
func (a *Answer) follow(name dnsmessage.Name) (end dnsmessage.Name, alias bool) {
	ttl := uint32(0xffffffff)
	for range maxChain + 1 {
		moved := false
		for _, r := range a.Records {
			if c, ok := r.Body.(*dnsmessage.CNAMEResource); ok && strings.EqualFold(r.Header.Name.String(), name.String()) {
				name, alias, moved, ttl = c.CNAME, true, true, min(ttl, r.Header.TTL)
				break
			}
		}
		if !moved {
			break
		}
	}
	a.Addrs = nil
	for _, r := range a.Records {
		if !strings.EqualFold(r.Header.Name.String(), name.String()) {
			continue
		}
		switch b := r.Body.(type) {
		case *dnsmessage.AResource:
			a.Addrs, ttl = append(a.Addrs, netip.AddrFrom4(b.A)), min(ttl, r.Header.TTL)
		case *dnsmessage.AAAAResource:
			a.Addrs, ttl = append(a.Addrs, netip.AddrFrom16(b.AAAA)), min(ttl, r.Header.TTL)
		}
	}
	a.TTL = time.Duration(ttl) * time.Second
	return name, alias
}

func fromHosts(name dnsmessage.Name, known []netip.Addr, qtype dnsmessage.Type) Answer {
	a := Answer{TTL: hostsTTL * time.Second}
	for _, addr := range known {
		h := dnsmessage.ResourceHeader{Name: name, Type: qtype, Class: dnsmessage.ClassINET, TTL: hostsTTL}
		switch {
		case addr.Is4() && qtype == dnsmessage.TypeA:
			a.Records = append(a.Records, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: addr.As4()}})
		case addr.Is6() && qtype == dnsmessage.TypeAAAA:
			a.Records = append(a.Records, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}})
		default:
			continue
		}
		a.Addrs = append(a.Addrs, addr)
	}
	return a
}

var errNoServer = errors.New("this host names no server in its resolv.conf")

// query asks one server after the other until one answers.
func query(ctx context.Context, servers []netip.AddrPort, name dnsmessage.Name, qtype dnsmessage.Type) (dnsmessage.Message, error) {
	last := errNoServer
	for range rounds {
		for _, server := range servers {
			m, err := ask(ctx, server, name, qtype)
			if err == nil && (m.RCode == dnsmessage.RCodeSuccess || m.RCode == dnsmessage.RCodeNameError) {
				return m, nil
			}
			if last = err; err == nil {
				last = fmt.Errorf("%s says %s", server, m.RCode)
			}
			if ctx.Err() != nil {
				return dnsmessage.Message{}, ctx.Err()
			}
		}
	}
	return dnsmessage.Message{}, last
}

// ask is one question to one server, by UDP and, when the answer is too long, by TCP.
func ask(ctx context.Context, server netip.AddrPort, name dnsmessage.Name, qtype dnsmessage.Type) (dnsmessage.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, perServer)
	defer cancel()
	m, err := exchange(ctx, "udp", server, name, qtype)
	if err == nil && m.Truncated {
		return exchange(ctx, "tcp", server, name, qtype)
	}
	return m, err
}

func dial(ctx context.Context, network string, server netip.AddrPort) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, server.String())
	if err != nil {
		return nil, err
	}
	if at, ok := ctx.Deadline(); ok {
		conn.SetDeadline(at)
	}
	return conn, nil
}
