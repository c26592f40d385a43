package router

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"sync"
	"time"
)

// dialledKey holds, in the context of NewClientConn, the connection to use.
type dialledKey struct{}

// newTransport makes a maker of connections, of HTTP/1.1 or of HTTP/2 without
// encryption. What a guest can make the daemon hold is bounded here.
func newTransport(h2 bool, lim limits) *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(!h2)
	protocols.SetUnencryptedHTTP2(h2)
	return &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return ctx.Value(dialledKey{}).(net.Conn), nil
		},
		Protocols:              protocols,
		DisableCompression:     true, // bodies pass as they are
		MaxResponseHeaderBytes: lim.replyBytes,
		ExpectContinueTimeout:  time.Second, // then the body goes unasked, as curl does (RFC 9110 §10.1.1)
		HTTP2: &http.HTTP2Config{
			// A connection's window holds every stream's, so that one slow client
			// does not stall the others: 256 streams of 256 KiB.
			MaxReceiveBufferPerStream:     256 << 10,
			MaxReceiveBufferPerConnection: 64 << 20,
		},
	}
}

// newServer makes the server of one listener. Bodies may take any time.
func (r *Router) newServer(ctx context.Context, h http.Handler) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:                      h,
		Protocols:                    protocols,
		ReadHeaderTimeout:            r.limits.header,
		IdleTimeout:                  r.limits.idle,
		MaxHeaderBytes:               r.limits.headBytes,
		DisableGeneralOptionsHandler: true, // "OPTIONS *" is the app's to answer
		BaseContext:                  func(net.Listener) context.Context { return ctx },
		ErrorLog:                     slog.NewLogLogger(r.log.Handler(), slog.LevelDebug),
	}
}

// trip is one request on its way through, kept in its context.
type trip struct {
	target *target
	w      http.ResponseWriter
	waited time.Duration
}

type tripKey struct{}

func tripOf(req *http.Request) *trip { return req.Context().Value(tripKey{}).(*trip) }

// serveHTTP passes one request on to the target.
func (r *Router) serveHTTP(w http.ResponseWriter, req *http.Request, t *target) {
	if req.Method == http.MethodConnect {
		plain(w, http.StatusMethodNotAllowed, "aegis: CONNECT is not served here")
		return
	}
	http.NewResponseController(w).EnableFullDuplex() // apps may answer while they read; HTTP/2 always may
	ctx := context.WithValue(req.Context(), tripKey{}, &trip{target: t, w: w})
	r.proxy.ServeHTTP(w, req.WithContext(ctx))
}

func (r *Router) newProxy() *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Rewrite:        rewrite,
		Transport:      roundTripper{},
		FlushInterval:  -1,
		BufferPool:     &copyBuffers,
		ModifyResponse: arrived,
		ErrorHandler:   r.failed,
		ErrorLog:       slog.NewLogLogger(r.log.Handler(), slog.LevelDebug),
	}
}

// rewrite leaves the request as it came, but for X-Forwarded-*, which is ours
// alone: what a client claims there is dropped.
func rewrite(p *httputil.ProxyRequest) {
	p.Out.URL.Scheme = "http"
	p.Out.URL.Host = net.JoinHostPort("localhost", strconv.Itoa(int(tripOf(p.In).target.port)))
	p.Out.URL.RawQuery = p.In.URL.RawQuery // as sent, also where ReverseProxy would clean it
	p.Out.Host = p.In.Host
	p.Out.Trailer = p.In.Trailer // the same map: the server fills it when the body has been read
	p.SetXForwarded()
}

// arrived marks an answer that waited for a wake.
func arrived(res *http.Response) error {
	trip := tripOf(res.Request)
	if trip.waited > 0 {
		res.Header.Add("Server-Timing", timing(trip.waited))
	}
	if res.Header.Get("Content-Type") == "" {
		trip.w.Header()["Content-Type"] = nil // or the server would guess one
	}
	return nil
}

// timing is a Server-Timing metric; dur is in milliseconds (W3C Server Timing).
func timing(waited time.Duration) string {
	return "wake;dur=" + strconv.FormatFloat(float64(waited)/float64(time.Millisecond), 'f', 3, 64)
}

// roundTripper sends a request on a kept connection or a new one; the package
// comment has the rule.
type roundTripper struct{}

func (roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	trip := tripOf(req)
	t, h2 := trip.target, req.ProtoMajor == 2
	twice := repeatable(req)
	if h2 || twice {
		if l := t.kept(h2); l != nil {
			res, err := t.exchange(l, req)
			if err == nil || !twice || req.Context().Err() != nil {
				return res, err
			}
		}
	}
	l, waited, err := t.fresh(req.Context(), h2)
	trip.waited = waited
	if err != nil {
		return nil, err
	}
	return t.exchange(l, req)
}

// repeatable reports whether a request may reach the app twice (RFC 9110 §9.2.1).
func repeatable(req *http.Request) bool {
	if req.Body != nil && req.Body != http.NoBody {
		return false
	}
	switch req.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

// exchange sends one request and parks the link when the answer's body is closed.
// After a switch of protocols the body is the connection, and closing it closes it.
func (t *target) exchange(l *link, req *http.Request) (*http.Response, error) {
	res, err := l.RoundTrip(req)
	if err != nil {
		if !l.h2 {
			l.Close()
		}
		t.park(l)
		return nil, err
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		res.Body = &parking{ReadCloser: res.Body, park: sync.OnceFunc(func() { t.park(l) })}
	}
	return res, nil
}

// parking is an answer's body that gives its connection back when closed.
type parking struct {
	io.ReadCloser
	park func()
}

func (p *parking) Close() error {
	err := p.ReadCloser.Close()
	p.park()
	return err
}

// buffers lends the memory of body copies.
type buffers struct{ pool sync.Pool }

var copyBuffers = buffers{sync.Pool{New: func() any { return new([32 << 10]byte) }}}

func (b *buffers) Get() []byte  { return b.pool.Get().(*[32 << 10]byte)[:] }
func (b *buffers) Put(p []byte) { b.pool.Put((*[32 << 10]byte)(p)) }
