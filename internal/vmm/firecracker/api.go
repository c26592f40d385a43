package firecracker

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"aegis/internal/vmm/monitor"
)

// maxAnswer bounds one answer, headers included, in bytes. The longest that is asked
// for, a refusal with its reason, is a hundredth of it.
const maxAnswer = 64 << 10

// refusal is why a request was not carried out, in Firecracker's words.
type refusal struct {
	Message string `json:"fault_message"`
	Status  int    `json:"-"`
}

// Error implements error.
func (r *refusal) Error() string {
	if r.Message == "" {
		return fmt.Sprintf("the API answers %d", r.Status)
	}
	return r.Message[:min(len(r.Message), monitor.TailBytes)]
}

// api is a connection to one monitor's API socket. Requests go one after another; after
// one that was given up none goes any more.
type api struct {
	conn net.Conn

	mu   sync.Mutex
	left *io.LimitedReader
	in   *bufio.Reader
	err  error
}

func newAPI(conn net.Conn) *api {
	left := &io.LimitedReader{R: conn}
	return &api{conn: conn, left: left, in: bufio.NewReader(left)}
}

func (a *api) close() { a.conn.Close() }

// put creates or starts what path names.
func (a *api) put(ctx context.Context, path string, body any) error {
	return a.call(ctx, http.MethodPut, path, body)
}

// patch changes what path names.
func (a *api) patch(ctx context.Context, path string, body any) error {
	return a.call(ctx, http.MethodPatch, path, body)
}

// call sends a request and waits for its answer. A *refusal leaves the connection good.
func (a *api) call(ctx context.Context, method, path string, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err == nil {
		err = a.exchange(ctx, method, path, text)
		if r := (*refusal)(nil); err != nil && !errors.As(err, &r) {
			a.err = err
		}
	} else {
		err = a.err
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

// exchange is one request and its answer. The end of ctx ends it.
func (a *api) exchange(ctx context.Context, method, path string, body []byte) error {
	stop := context.AfterFunc(ctx, func() { a.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	req, err := http.NewRequest(method, "http://localhost"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "") // none
	var out bytes.Buffer
	if err := req.Write(&out); err != nil {
		return err
	}
	if _, err := a.conn.Write(out.Bytes()); err != nil {
		return errors.Join(ctx.Err(), err)
	}
	a.left.N = maxAnswer
	answer, err := http.ReadResponse(a.in, req)
	if err != nil {
		return errors.Join(ctx.Err(), err)
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	if err != nil {
		return errors.Join(ctx.Err(), err)
	}
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		r := &refusal{Status: answer.StatusCode}
		json.Unmarshal(said, r) // without it the status has to do
		return r
	}
	return nil
}
