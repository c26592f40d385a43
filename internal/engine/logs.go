package engine

import (
	"context"
	"io"

	"aegis/client"
	"aegis/internal/logs"
)

// Logs reads an instance's log, as on disk: whole lines of NDJSON.
func (e *Engine) Logs(ctx context.Context, ref string, q client.LogQuery) (io.ReadCloser, error) {
	a, err := e.find(ctx, ref)
	if err != nil {
		return nil, err
	}
	return logs.Read(ctx, e.Home.Instance(a.id).Logs(), logs.Query{
		Tail: q.Tail, Since: q.Since, Streams: q.Streams, Exec: q.Exec, Follow: q.Follow})
}
