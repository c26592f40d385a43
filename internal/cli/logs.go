package cli

import (
	"context"
	"encoding/base64"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"aegis/client"
	"aegis/internal/fault"
)

func (a *app) logs() *cobra.Command {
	q, tail, since, asJSON := client.LogQuery{}, "all", "", false
	cmd := &cobra.Command{Use: "logs NAME", Short: "Print what an instance has printed", Args: a.one("NAME"),
		RunE: a.do(func(ctx context.Context, _ *cobra.Command, args []string) error {
			var err error
			if q.Tail, err = parseTail(tail); err != nil {
				return err
			}
			if q.Since, err = parseSince(since, time.Now()); err != nil {
				return err
			}
			return followed(ctx, q.Follow, a.readLog(ctx, args[0], q, asJSON))
		})}
	f := cmd.Flags()
	f.BoolVarP(&q.Follow, "follow", "f", false, "go on with new lines")
	f.StringVar(&tail, "tail", tail, "so many past lines, or `all`")
	f.StringVar(&since, "since", "", "only lines since a `TIME`: 10m ago, or 2026-01-02T15:04:05Z")
	f.StringSliceVar(&q.Streams, "stream", nil, "only `stdout,stderr,system` or some of them")
	f.StringVar(&q.Exec, "exec", "", "only what the exec of this `ID` printed")
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (a *app) readLog(ctx context.Context, name string, q client.LogQuery, asJSON bool) error {
	c, err := a.connect(ctx)
	if err != nil {
		return err
	}
	lines, err := c.Logs(ctx, name, q)
	if err != nil {
		return err
	}
	defer lines.Close()
	return a.printLog(lines, asJSON)
}

// printLog writes the bytes of each line as the guest did, or NDJSON as it is on disk.
func (a *app) printLog(lines io.Reader, asJSON bool) error {
	if asJSON {
		_, err := io.Copy(a.out, lines)
		return err
	}
	for line, err := range client.LogLines(lines) {
		if err != nil {
			return err
		}
		text, err := logBytes(line)
		if err != nil {
			return err
		}
		if _, err := a.out.Write(text); err != nil {
			return err
		}
	}
	return nil
}

func logBytes(line client.LogLine) ([]byte, error) {
	text := []byte(line.Line)
	if line.Base64 {
		var err error
		if text, err = base64.StdEncoding.DecodeString(line.Line); err != nil {
			return nil, fault.New(fault.Internal, "", "read the log", "a line is not the base64 that it claims to be: %w", err)
		}
	}
	if !line.Partial {
		text = append(text, '\n')
	}
	return text, nil
}

func parseTail(text string) (int, error) {
	if text == "all" {
		return -1, nil
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, fault.New(fault.Invalid, text, "read --tail", "%.40q is neither a number nor all", text)
	}
	return int(n), nil
}

// parseSince reads a time of RFC 3339, or how long ago it is.
func parseSince(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fault.New(fault.Invalid, text, "read --since", "%.40q is neither a duration like 10m nor a time like 2026-01-02T15:04:05Z", text)
	}
	return t, nil
}
