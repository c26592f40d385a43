package logs

import (
	"bytes"
	"slices"
)

// minSecret is the length from which a line of a secret is hidden, in bytes: a
// shorter one would turn ordinary words into secrets.
const minSecret = 4

// hidden is a line of a secret's value, and what stands in the log for it.
type hidden struct {
	value []byte
	name  []byte
}

// Redact hides the bytes of secrets in every record that follows, whatever stream
// they come from: "[secret NAME]" stands for each line of a value that has at least
// four bytes. What a process encodes before it prints it is not found.
func (w *Writer) Redact(secrets map[string]string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name, value := range secrets {
		for line := range bytes.SplitSeq([]byte(value), []byte("\n")) {
			if line = bytes.TrimSuffix(line, []byte("\r")); len(line) >= minSecret {
				w.hidden = append(w.hidden, hidden{line, []byte("[secret " + name + "]")})
			}
		}
	}
	// A value that holds another one goes first, or its rest would show.
	slices.SortStableFunc(w.hidden, func(a, b hidden) int { return len(b.value) - len(a.value) })
}

// redact gives the line without secrets; it does not change the one it got.
func (w *Writer) redact(line []byte) []byte {
	for _, h := range w.hidden {
		if bytes.Contains(line, h.value) {
			line = bytes.ReplaceAll(line, h.value, h.name)
		}
	}
	return line
}
