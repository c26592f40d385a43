package api

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"strings"

	"aegis/internal/fault"
)

// Remote lets a request from TCP through to next only when it shows the token, was
// sent to an address of this listener or to localhost, and comes from no foreign
// web page. Nothing else is answered, whatever its path: a refusal says why and
// ends the connection.
//
// Names are foreign because a page's own name may lead to 127.0.0.1 (DNS
// rebinding); the token is compared in a time that tells nothing of it.
func Remote(next http.Handler, token string) http.Handler {
	want := sha256.Sum256([]byte(token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := admit(r, want); err != nil {
			w.Header().Set("Connection", "close")
			if err.Kind == fault.Unauthorized {
				w.Header().Set("WWW-Authenticate", `Bearer realm="aegis"`)
			}
			writeFault(w, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// admit says why a request is refused, or nothing.
func admit(r *http.Request, want [sha256.Size]byte) *fault.Error {
	const what = "reach the daemon"
	if !ownHost(r) {
		return fault.New(fault.Forbidden, "", what, "the request is for the host %.80q, which is not an address of the daemon", r.Host)
	}
	for _, origin := range r.Header["Origin"] {
		if origin != "http://"+r.Host {
			return fault.New(fault.Forbidden, "", what, "the request comes from a page of %.80q", origin)
		}
	}
	given := r.Header["Authorization"]
	if len(given) != 1 {
		return fault.New(fault.Unauthorized, "", what, "the request lacks the header Authorization: Bearer TOKEN")
	}
	scheme, token, _ := strings.Cut(given[0], " ")
	got := sha256.Sum256([]byte(token))
	if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
		return fault.New(fault.Unauthorized, "", what, "the token is not the daemon's")
	}
	return nil
}

// ownHost reports whether Host is the address at which the connection arrived, or
// localhost where that is a loopback one. The port may be another: that of a
// tunnel.
func ownHost(r *http.Request) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok {
		return false
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(r.Host, "["), "]")
	}
	if strings.EqualFold(host, "localhost") {
		return local.IP.IsLoopback()
	}
	return local.IP.Equal(net.ParseIP(host))
}
