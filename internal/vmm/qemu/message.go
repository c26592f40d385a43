package qemu

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"aegis/internal/vmm/monitor"
)

// maxMessage bounds one line of the control connection, in bytes. The longest that is
// asked for, an error with its description, is a hundredth of it.
const maxMessage = 64 << 10

// message is what QEMU says: a reply has an ID, an event a name, the greeting neither.
// See "QEMU Machine Protocol Specification" in QEMU's manual.
type message struct {
	ID    *int            `json:"id"`
	Error *refusal        `json:"error"`
	Event string          `json:"event"`
	Data  json.RawMessage `json:"data"`

	Return json.RawMessage `json:"return"`
}

// refusal is why QEMU did not run a command.
type refusal struct {
	Desc string `json:"desc"`
}

// Error implements error, in QEMU's words.
func (r *refusal) Error() string {
	if len(r.Desc) > monitor.TailBytes {
		return r.Desc[:monitor.TailBytes]
	}
	return r.Desc
}

// errLong ends the connection: a message is not read in parts.
var errLong = errors.New("QEMU sent a message that is too long")

// messages reads what a monitor, which may be hostile, says.
type messages struct{ in *bufio.Reader }

func newMessages(r io.Reader) messages { return messages{bufio.NewReaderSize(r, maxMessage)} }

// next is the next message. After an error there is none.
func (m messages) next() (message, error) {
	line, err := m.in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return message{}, errLong
	case err != nil:
		return message{}, err
	}
	var msg message
	if err := json.Unmarshal(line, &msg); err != nil {
		return message{}, fmt.Errorf("read what QEMU says: %w", err)
	}
	return msg, nil
}

// command is what QEMU is told.
type command struct {
	Execute   string `json:"execute"`
	Arguments any    `json:"arguments,omitempty"`
	ID        int    `json:"id"`
}

// args are a command's, by name.
type args map[string]any
