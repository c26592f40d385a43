package logs

import (
	"encoding/base64"
	"time"
	"unicode/utf8"
)

// stamp is RFC 3339 with nine digits, so that records sort as text.
const stamp = "2006-01-02T15:04:05.000000000Z07:00"

// head is what the records of one stream have in common, made once.
type head struct {
	before string // between time and line
	after  string // behind line
}

func newHead(stream, instance, exec string) head {
	h := head{before: `","stream":` + quoted(stream) + `,"line":"`, after: `","instance_id":` + quoted(instance)}
	if exec != "" {
		h.after += `,"exec_id":` + quoted(exec)
	}
	return h
}

func quoted(s string) string { return `"` + string(appendEscaped(nil, []byte(s))) + `"` }

// appendRecord adds one record, newline included.
func (h head) appendRecord(b []byte, now time.Time, line []byte, partial bool) []byte {
	b = append(b, `{"ts":"`...)
	b = now.UTC().AppendFormat(b, stamp)
	b = append(b, h.before...)
	b, encoded := appendText(b, line)
	b = append(b, h.after...)
	if encoded {
		b = append(b, `,"base64":true`...)
	}
	if partial {
		b = append(b, `,"partial":true`...)
	}
	return append(b, '}', '\n')
}

// longText is the length from which a line's escapes are counted, in bytes.
const longText = 64 << 10

// appendText adds line as the inside of a JSON string: as it is where it is
// UTF-8, else in base64. A long line that escapes would more than double (control
// characters take six bytes) goes in base64 too, which bounds a record.
func appendText(b, line []byte) (out []byte, encoded bool) {
	if utf8.Valid(line) && (len(line) < longText || escapes(line) <= len(line)) {
		return appendEscaped(b, line), false
	}
	return base64.StdEncoding.AppendEncode(b, line), true
}

// escapes is how many bytes appendEscaped adds to the length of line.
func escapes(line []byte) (n int) {
	for _, c := range line {
		switch {
		case c == '"' || c == '\\' || c == '\t' || c == '\r' || c == '\n':
			n++
		case c < ' ':
			n += len(`\u0000`) - 1
		}
	}
	return n
}

const hexDigits = "0123456789abcdef"

// appendEscaped adds UTF-8 text with what JSON (RFC 8259, 7) wants escaped.
func appendEscaped(b, line []byte) []byte {
	start := 0
	for i, c := range line {
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, line[start:i]...)
		start = i + 1
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\t':
			b = append(b, '\\', 't')
		case '\r':
			b = append(b, '\\', 'r')
		case '\n':
			b = append(b, '\\', 'n')
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return append(b, line[start:]...)
}
