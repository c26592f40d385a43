package netstack

import (
	"golang.org/x/net/dns/dnsmessage"
)

// dnsHeader is the size of a message's fixed part, in bytes.
const dnsHeader = 12

// query is what a guest asks.
type query struct {
	id       uint16
	desired  bool // recursion
	question dnsmessage.Question
	room     int              // bytes that a reply over UDP may have
	refuse   dnsmessage.RCode // other than success: the reply, without asking anybody
}

// parseQuery reads a standard query with one question. What is not even a query gets
// no reply at all.
func parseQuery(b []byte) (query, bool) {
	var p dnsmessage.Parser
	h, err := p.Start(b)
	if err != nil || h.Response {
		return query{}, false
	}
	q := query{id: h.ID, desired: h.RecursionDesired, room: plainUDP}
	q.question, err = p.Question()
	if err != nil {
		return query{}, false
	}
	if _, err := p.Question(); err != dnsmessage.ErrSectionDone {
		q.refuse = dnsmessage.RCodeFormatError
		return q, true
	}
	if h.OpCode != 0 {
		q.refuse = dnsmessage.RCodeNotImplemented
		return q, true
	}
	if q.question.Class != dnsmessage.ClassINET || !mayAsk(q.question.Type) {
		q.refuse = dnsmessage.RCodeRefused
		return q, true
	}
	q.room = extended(&p)
	return q, true
}

// mayAsk leaves out transfers and other questions about questions (RFC 6895, 3.1).
func mayAsk(t dnsmessage.Type) bool { return t != 0 && t != 41 && (t < 128 || t > 255) }

// extended is the size of the guest's buffer, by the OPT record (RFC 6891).
func extended(p *dnsmessage.Parser) int {
	if p.SkipAllAnswers() != nil || p.SkipAllAuthorities() != nil {
		return plainUDP
	}
	for range 16 {
		h, err := p.AdditionalHeader()
		if err != nil {
			break
		}
		if h.Type == dnsmessage.TypeOPT {
			return min(max(int(h.Class), plainUDP), largeUDP)
		}
		if p.SkipAdditional() != nil {
			break
		}
	}
	return plainUDP
}

// empty is a reply without answers.
func (q query) empty(code dnsmessage.RCode, truncated bool) []byte {
	m := dnsmessage.Message{
		Header: dnsmessage.Header{ID: q.id, Response: true, RecursionDesired: q.desired, RecursionAvailable: true,
			RCode: code, Truncated: truncated},
		Questions: []dnsmessage.Question{q.question},
	}
	b, err := m.Pack()
	if err != nil {
		return nil
	}
	return b
}
