package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// LogQuery selects lines of an instance's log. Tail counts from the end of what
// the other fields leave; a negative Tail is no limit, and 0 is no past line.
type LogQuery struct {
	Follow  bool      // go on with new lines until the context ends
	Tail    int       // so many past lines
	Since   time.Time // not older; zero: any
	Streams []string  // "stdout", "stderr", "system"; empty: all
	Exec    string    // ID of one exec; empty: everything
}

// Logs returns the selected lines as NDJSON, one LogLine each, oldest first. The
// caller closes it. A read fails with an *Error when the daemon goes away.
func (c *Client) Logs(ctx context.Context, ref string, q LogQuery) (io.ReadCloser, error) {
	values := url.Values{"tail": {strconv.Itoa(q.Tail)}}
	if q.Follow {
		values.Set("follow", "true")
	}
	if !q.Since.IsZero() {
		values.Set("since", q.Since.Format(time.RFC3339Nano))
	}
	if len(q.Streams) > 0 {
		values.Set("stream", strings.Join(q.Streams, ","))
	}
	if q.Exec != "" {
		values.Set("exec", q.Exec)
	}
	what := fmt.Sprintf("read the log of %q", ref)
	resp, err := c.request(ctx, what, http.MethodGet, at(instances, ref, "logs")+"?"+values.Encode(), nil, nil)
	if err != nil {
		return nil, err
	}
	return &stream{resp.Body, func(err error) error { return c.broken(ctx, what, err) }}, nil
}

// stream gives the end of an answer its meaning.
type stream struct {
	io.ReadCloser
	explain func(error) error
}

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = s.explain(err)
	}
	return n, err
}

// LogLines decodes what Logs returned. It ends after the first error.
func LogLines(r io.Reader) iter.Seq2[LogLine, error] {
	return func(yield func(LogLine, error) bool) {
		decoder := json.NewDecoder(bufio.NewReader(r))
		for {
			var line LogLine
			err := decoder.Decode(&line)
			if errors.Is(err, io.EOF) || !yield(line, err) || err != nil {
				return
			}
		}
	}
}
