package http1

import (
	"bytes"
	"strconv"
	"strings"
)

// refused is a status and why a request gets it. The connection ends with it: what
// follows can't be told from the rest of the request.
type refused struct {
	status int
	why    string
}

func (r *refused) Error() string { return r.why }

// head is what comes before a body.
type head struct {
	method, path string
	length       int  // of the body
	last         bool // the client wants no other request on this connection
	expects      bool // it waits for a 100 before it sends the body
	old          bool // HTTP/1.0
	hosts        int
	sized        bool
}

// parseHead reads the request line and the fields, without the empty line behind
// them. Lines end with CRLF, or LF alone, which RFC 9112 (2.2) allows.
func parseHead(text []byte) (head, *refused) {
	var h head
	line, rest, _ := bytes.Cut(text, []byte("\n"))
	if r := h.requestLine(string(bytes.TrimSuffix(line, []byte("\r")))); r != nil {
		return h, r
	}
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, []byte("\n"))
		if r := h.field(string(bytes.TrimSuffix(line, []byte("\r")))); r != nil {
			return h, r
		}
	}
	if h.hosts > 1 || h.hosts == 0 && !h.old {
		return h, &refused{400, "a request names its host once"}
	}
	return h, nil
}

func (h *head) requestLine(line string) *refused {
	parts := strings.Split(line, " ")
	if len(parts) != 3 || !isToken(parts[0]) || !isTarget(parts[1]) {
		return &refused{400, "the request line is not one of HTTP"}
	}
	switch version := parts[2]; {
	case version == "HTTP/1.0":
		h.old, h.last = true, true
	case len(version) == 8 && strings.HasPrefix(version, "HTTP/1.") && isDigits(version[7:]):
	case strings.HasPrefix(version, "HTTP/"):
		return &refused{505, "only HTTP/1.1 is spoken here"}
	default:
		return &refused{400, "the request line is not one of HTTP"}
	}
	h.method = parts[0]
	h.path = path(parts[1])
	return nil
}

// path is the target's, without scheme, host and query (RFC 9112, 3.2).
func path(target string) string {
	if _, rest, ok := strings.Cut(target, "://"); ok && !strings.HasPrefix(target, "/") {
		at := strings.IndexAny(rest, "/?")
		if at < 0 {
			return "/"
		}
		target = rest[at:]
	}
	target, _, _ = strings.Cut(target, "?")
	if target == "" {
		return "/"
	}
	return target
}

func (h *head) field(line string) *refused {
	name, value, ok := strings.Cut(line, ":")
	if !ok || !isToken(name) || !isText(value) {
		return &refused{400, "a header field is not one of HTTP"}
	}
	value = strings.Trim(value, " \t")
	switch strings.ToLower(name) {
	case "host":
		h.hosts++
	case "content-length":
		return h.size(value)
	case "transfer-encoding":
		return &refused{411, "a body comes with a Content-Length here, not in chunks"}
	case "connection":
		for option := range strings.SplitSeq(value, ",") {
			h.last = h.last || strings.EqualFold(strings.Trim(option, " \t"), "close")
		}
	case "expect":
		if !strings.EqualFold(value, "100-continue") {
			return &refused{417, "nothing but 100-continue can be expected here"}
		}
		h.expects = true
	}
	return nil
}

func (h *head) size(value string) *refused {
	if h.sized || !isDigits(value) {
		return &refused{400, "a body has one length, in digits"}
	}
	h.sized = true
	n, err := strconv.Atoi(value)
	if err != nil || n > MaxBody {
		return &refused{413, "a body has at most " + strconv.Itoa(MaxBody) + " bytes here"}
	}
	h.length = n
	return nil
}

// isToken is RFC 9110's token (5.6.2).
func isToken(s string) bool {
	for _, c := range []byte(s) {
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		digit := c >= '0' && c <= '9'
		if !letter && !digit && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// isTarget holds visible ASCII and nothing else.
func isTarget(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return s != ""
}

// isText is a field's value: anything but control characters (RFC 9110, 5.5).
func isText(s string) bool {
	for _, c := range []byte(s) {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

func isDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
