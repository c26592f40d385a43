package cli

import (
	"fmt"
	"strings"
	"unicode"

	"aegis/internal/fault"
)

// report prints an error in its three parts.
func (a *app) report(err error) {
	f := fault.As(err)
	what, why := f.What, f.Why
	if what == "" {
		what = "do " + a.verb
	}
	if ends[why] {
		why = "the other side ended the connection"
	}
	text := what
	if why != "" {
		text += ": " + why
	}
	fmt.Fprintf(a.err, "aegis: %s\n", clean(text))
	if hint := a.hint(f); hint != "" {
		fmt.Fprintf(a.err, "hint: %s\n", clean(hint))
	}
}

// ends are the reasons that say nothing to a person.
var ends = map[string]bool{"EOF": true, "unexpected EOF": true}

// note prints information.
func (a *app) note(format string, args ...any) {
	fmt.Fprintf(a.err, "%s\n", clean(fmt.Sprintf(format, args...)))
}

// clean takes the control characters out of text that may hold a guest's bytes,
// which could otherwise drive the terminal. Lines and tabs stay.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || !unicode.IsControl(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}
