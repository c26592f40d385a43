package router

import (
	"io"
	"net/http"
	"testing"

	"aegis/internal/instance"
)

// BenchmarkRoute compares an app reached directly and through the router: one small
// answer after another on a kept connection, and one of 64 MiB.
func BenchmarkRoute(b *testing.B) {
	const bulk = 64 << 20
	f := app(b, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bulk" {
			io.Copy(w, io.LimitReader(zeros{}, bulk))
		}
	})
	for _, path := range []string{"/", "/bulk"} {
		b.Run("direct"+path, func(b *testing.B) { fetchAll(b, f.addr+path) })
		for _, protocol := range []string{instance.HTTP, instance.TCP} {
			b.Run(protocol+path, func(b *testing.B) {
				_, addr := expose(b, f, protocol)
				fetchAll(b, addr+path)
			})
		}
	}
}

func fetchAll(b *testing.B, url string) {
	c := &http.Client{Transport: &http.Transport{}}
	defer c.CloseIdleConnections()
	for b.Loop() {
		res, err := c.Get("http://" + url)
		if err != nil {
			b.Fatal(err)
		}
		n, _ := io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if n > 0 {
			b.SetBytes(n)
		}
	}
}
