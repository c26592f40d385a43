package secret

import (
	"bytes"
	"errors"
	"io"

	"filippo.io/age"
)

// key seals and opens. age authenticates every byte of a file; that it was made
// by us rests on the recipient, which is stored nowhere and so known to nobody else.
type key struct{ identity *age.X25519Identity }

// format is the first line of what is sealed; the name and the value follow. The
// name in there is what binds a value to it: a file that is renamed does not open.
const format = "aegis secret 1\n"

func (k *key) seal(name string, value []byte) ([]byte, error) {
	plain := make([]byte, 0, len(format)+len(name)+1+len(value))
	plain = append(plain, format+name+"\n"...)
	plain = append(plain, value...)
	defer clear(plain)
	var out bytes.Buffer
	w, err := age.Encrypt(&out, k.identity.Recipient())
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(plain); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// errOther is what open says of a file that holds something else.
var errOther = errors.New("it holds another secret")

func (k *key) open(name string, sealed []byte) ([]byte, error) {
	r, err := age.Decrypt(bytes.NewReader(sealed), k.identity)
	if err != nil {
		return nil, err
	}
	plain := make([]byte, len(sealed)) // longer than what is in it: no copy is left behind by growing
	defer clear(plain)
	n, err := io.ReadFull(r, plain)
	if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, errors.Join(errOther, err)
	}
	value, ok := bytes.CutPrefix(plain[:n], []byte(format+name+"\n"))
	if !ok {
		return nil, errOther
	}
	return bytes.Clone(value), nil
}
