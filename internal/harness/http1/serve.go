package http1

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// Serve answers the requests of a connection, one after the other, and closes it.
func Serve(conn net.Conn, handler Handler) {
	defer conn.Close()
	in := bufio.NewReaderSize(conn, MaxHead)
	for {
		conn.SetDeadline(time.Now().Add(Patience))
		h, req, err := read(in, conn)
		var no *refused
		if errors.As(err, &no) {
			refuse(conn, no)
			return
		}
		if err != nil {
			return
		}
		res := handler(req)
		conn.SetDeadline(time.Now().Add(Patience))
		if write(conn, res, h.method == "HEAD", h.last) != nil || h.last {
			return
		}
	}
}

// read takes one request off the connection. A *refused may be answered; any other
// error is the connection's.
func read(in *bufio.Reader, conn io.Writer) (head, Request, error) {
	text, err := readHead(in)
	if err != nil {
		return head{}, Request{}, err
	}
	h, no := parseHead(text)
	if no != nil {
		return h, Request{}, no
	}
	req := Request{Method: h.method, Path: h.path, Body: make([]byte, h.length)}
	if h.expects && !h.old && h.length > 0 {
		if _, err := io.WriteString(conn, "HTTP/1.1 100 Continue\r\n\r\n"); err != nil {
			return h, req, err
		}
	}
	_, err = io.ReadFull(in, req.Body)
	return h, req, err
}

// readHead reads lines up to an empty one. Empty lines before the first are passed
// over (RFC 9112, 2.2), and count.
func readHead(in *bufio.Reader) ([]byte, error) {
	var text []byte
	for size := 0; ; {
		line, err := in.ReadSlice('\n')
		if size += len(line); size > MaxHead || errors.Is(err, bufio.ErrBufferFull) {
			return nil, &refused{431, fmt.Sprintf("a request's head has at most %d bytes here", MaxHead)}
		}
		if err != nil {
			return nil, err
		}
		empty := len(bytes.TrimSuffix(line[:len(line)-1], []byte("\r"))) == 0
		if empty && len(text) > 0 {
			return text, nil
		}
		if !empty {
			text = append(text, line...)
		}
	}
}

// refuse answers what is no request, and lets the answer arrive: a client that is
// still sending would lose it if the connection just closed.
func refuse(conn net.Conn, no *refused) {
	body, _ := json.Marshal(map[string]any{"title": "read the request", "status": no.status, "detail": no.why, "code": "usage"})
	if write(conn, Response{Status: no.status, Type: "application/problem+json", Body: body}, false, true) != nil {
		return
	}
	if half, ok := conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		conn.SetReadDeadline(time.Now().Add(time.Second))
		io.CopyN(io.Discard, conn, 1<<20)
	}
}

// write sends a response, in one Write.
func write(conn io.Writer, r Response, headOnly, last bool) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\nDate: %s\r\n", r.Status, reason[r.Status], time.Now().UTC().Format(imfDate))
	if r.Type != "" {
		fmt.Fprintf(&b, "Content-Type: %s\r\n", r.Type)
	}
	if r.Allow != "" {
		fmt.Fprintf(&b, "Allow: %s\r\n", r.Allow)
	}
	if r.Status != 204 { // which has neither a body nor its length (RFC 9110, 8.6)
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(r.Body))
	}
	if last {
		b.WriteString("Connection: close\r\n")
	}
	b.WriteString("\r\n")
	if !headOnly && r.Status != 204 {
		b.Write(r.Body)
	}
	_, err := conn.Write(b.Bytes())
	return err
}

// imfDate is IMF-fixdate, for a time in UTC (RFC 9110, 5.6.7).
const imfDate = "Mon, 02 Jan 2006 15:04:05 GMT"

// reason are the phrases of the statuses in use (RFC 9110, 15).
var reason = map[int]string{
	200: "OK", 204: "No Content",
	400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 409: "Conflict", 411: "Length Required",
	413: "Content Too Large", 417: "Expectation Failed", 422: "Unprocessable Content", 431: "Request Header Fields Too Large",
	500: "Internal Server Error", 503: "Service Unavailable", 504: "Gateway Timeout", 505: "HTTP Version Not Supported",
}
