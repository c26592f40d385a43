package resolve

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

// exchange sends a question and returns the message that answers it.
func exchange(ctx context.Context, network string, server netip.AddrPort, name dnsmessage.Name, qtype dnsmessage.Type) (dnsmessage.Message, error) {
	question := dnsmessage.Question{Name: name, Type: qtype, Class: dnsmessage.ClassINET}
	id, packed, err := pack(question)
	if err != nil {
		return dnsmessage.Message{}, err
	}
	conn, err := dial(ctx, network, server)
	if err != nil {
		return dnsmessage.Message{}, err
	}
	defer conn.Close()
	if network == "tcp" {
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(packed))), packed...)); err != nil {
			return dnsmessage.Message{}, err
		}
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err != nil {
			return dnsmessage.Message{}, fmt.Errorf("read %s's answer: %w", server, err)
		}
		body := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(conn, body); err != nil {
			return dnsmessage.Message{}, fmt.Errorf("read %s's answer: %w", server, err)
		}
		return unpack(body, id, question)
	}
	if _, err := conn.Write(packed); err != nil {
		return dnsmessage.Message{}, err
	}
	buf := make([]byte, maxPacket)
	for { // what does not fit the question may be somebody's guess, and is passed over
		n, err := conn.Read(buf)
		if err != nil {
			return dnsmessage.Message{}, fmt.Errorf("ask %s: %w", server, err)
		}
		if m, err := unpack(buf[:n], id, question); err == nil {
			return m, nil
		}
	}
}

// pack makes a query with an unpredictable ID and room for long answers (RFC 6891).
func pack(q dnsmessage.Question) (uint16, []byte, error) {
	var random [2]byte
	rand.Read(random[:])
	id := binary.BigEndian.Uint16(random[:])
	var opt dnsmessage.ResourceHeader
	if err := opt.SetEDNS0(maxPacket, dnsmessage.RCodeSuccess, false); err != nil {
		return 0, nil, err
	}
	m := dnsmessage.Message{
		Header:      dnsmessage.Header{ID: id, RecursionDesired: true},
		Questions:   []dnsmessage.Question{q},
		Additionals: []dnsmessage.Resource{{Header: opt, Body: &dnsmessage.OPTResource{}}},
	}
	packed, err := m.Pack()
	return id, packed, err
}

var errOther = errors.New("it answers another question")

// unpack reads the header, question and answers of a message. The other sections
// are of no use to a guest.
func unpack(b []byte, id uint16, q dnsmessage.Question) (dnsmessage.Message, error) {
	var p dnsmessage.Parser
	h, err := p.Start(b)
	if err != nil {
		return dnsmessage.Message{}, err
	}
	asked, err := p.AllQuestions()
	if err != nil {
		return dnsmessage.Message{}, err
	}
	if h.ID != id || !h.Response || len(asked) != 1 || asked[0].Type != q.Type || asked[0].Class != q.Class ||
		!strings.EqualFold(asked[0].Name.String(), q.Name.String()) {
		return dnsmessage.Message{}, errOther
	}
	m := dnsmessage.Message{Header: h, Questions: asked}
	if h.Truncated {
		return m, nil
	}
	for len(m.Answers) <= maxCount {
		r, err := p.Answer()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			return m, nil
		}
		if err != nil {
			return dnsmessage.Message{}, err
		}
		m.Answers = append(m.Answers, r)
	}
	return m, nil
}
