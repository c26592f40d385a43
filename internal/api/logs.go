package api

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	"aegis/internal/fault"
)

// ndjson is the media type of streams: one JSON value a line.
const ndjson = "application/x-ndjson"

type logsInput struct {
	Target
	Follow bool   `query:"follow" doc:"go on with new lines"`
	Tail   int    `query:"tail" default:"-1" doc:"so many past lines; negative: all"`
	Since  string `query:"since" doc:"RFC 3339"`
	Stream string `query:"stream" doc:"stdout, stderr, system; several with commas"`
	Exec   string `query:"exec" doc:"ID of one exec"`
}

// logs registers the route of log lines.
func (s *server) logs() {
	op := operation("get-logs", http.MethodGet, "/instances/{ref}/logs", "Log lines, as NDJSON", http.StatusOK)
	raw(s, op, func(w http.ResponseWriter, r *http.Request, in *logsInput) error {
		query, err := in.query()
		if err != nil {
			return err
		}
		lines, err := s.Processes.Logs(r.Context(), in.Ref, query)
		if err != nil {
			return err
		}
		defer lines.Close()
		defer context.AfterFunc(r.Context(), func() { lines.Close() })()
		return stream(w, lines)
	})
}

func (in *logsInput) query() (LogQuery, error) {
	q := LogQuery{Follow: in.Follow, Tail: in.Tail, Exec: in.Exec}
	if in.Since != "" {
		t, err := time.Parse(time.RFC3339, in.Since)
		if err != nil {
			return q, fault.New(fault.Invalid, in.Since, "read a log", "%.40q is not a time of RFC 3339", in.Since)
		}
		q.Since = t
	}
	for name := range strings.SplitSeq(in.Stream, ",") {
		switch name {
		case "":
		case "stdout", "stderr", "system":
			q.Streams = append(q.Streams, name)
		default:
			return q, fault.New(fault.Invalid, name, "read a log", "there is no stream %.40q, only stdout, stderr and system", name)
		}
	}
	return q, nil
}

// stream sends what comes, when it comes. An error in the middle ends the
// connection, so that the client can tell it from the end of the log.
func stream(w http.ResponseWriter, lines io.Reader) error {
	w.Header().Set("Content-Type", ndjson)
	w.WriteHeader(http.StatusOK)
	flush := http.NewResponseController(w).Flush
	buf := make([]byte, 32<<10)
	for {
		if err := flush(); err != nil {
			return nil // the client has gone
		}
		n, err := lines.Read(buf)
		if _, werr := w.Write(buf[:n]); werr != nil {
			return nil
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			panic(http.ErrAbortHandler)
		}
	}
}
