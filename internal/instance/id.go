package instance

import (
	"crypto/rand"
	"encoding/base32"
	"math/big"
	"strings"

	"aegis/internal/fault"
)

// idPrefix begins every instance ID.
const idPrefix = "inst-"

// idEncoding is RFC 4648 base32 in lower case; 12 characters hold 60 random bits.
var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewID makes an instance's ID: "inst-" and 12 base32 characters from the CSPRNG.
func NewID() string { return idPrefix + random12() }

// NewRunID names one life of a VM.
func NewRunID() string { return "run-" + random12() }

// NewExecID names one exec.
func NewExecID() string { return "exec-" + random12() }

func random12() string {
	var b [8]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return idEncoding.EncodeToString(b[:])[:12]
}

// CheckName refuses what is not a name: [a-z0-9][a-z0-9-]{0,62}, and nothing that
// would read as an ID, since every command takes either.
func CheckName(name string) error {
	switch {
	case !hasNameForm(name):
		return fault.New(fault.Invalid, name, "name an instance",
			"%.80q is not a name: a lower-case letter or digit, then up to 62 more or hyphens", name)
	case strings.HasPrefix(name, idPrefix):
		return fault.New(fault.Invalid, name, "name an instance", "%q begins like an ID", name)
	}
	return nil
}

// hasNameForm is by hand: a compiled pattern would be half a millisecond of each command's start.
func hasNameForm(s string) bool {
	return s != "" && len(s) <= 63 && s[0] != '-' && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// IsIDPrefix reports whether ref is an ID or the beginning of one, with at least
// one random character.
func IsIDPrefix(ref string) bool {
	return strings.HasPrefix(ref, idPrefix) && len(ref) > len(idPrefix)
}

var (
	adjectives = strings.Fields(`amber bold brave brisk calm clear clever coral crisp dapper deft eager early fair
		fleet fond frank fresh gentle glad golden grand green happy hardy hazel honest humble jolly keen kind
		lively lucid lucky mellow merry mild neat noble novel plain polite proud quick quiet rapid ready ruby
		sharp silver sleek smart snowy solid steady sunny swift tidy vivid warm wise witty young`)
	nouns = strings.Fields(`acorn alder anchor badger basin beacon birch bison brook canyon cedar cliff comet
		cove crane creek delta dune ember falcon fern fjord forest fox garnet glade grove harbor hawk heron
		hill island ivy jay lagoon lake lark linden lynx maple marsh meadow moss oak orchid otter owl pebble
		pine plover quail raven reef ridge river robin sage spruce stone summit thrush tide trail valley willow wren`)
)

// NewName generates "adjective-noun". It is not unique by itself.
func NewName() string { return pick(adjectives) + "-" + pick(nouns) }

func pick(words []string) string {
	n, err := rand.Int(rand.Reader, big.NewInt(int64(len(words))))
	if err != nil {
		panic(err) // crypto/rand never fails
	}
	return words[n.Int64()]
}
