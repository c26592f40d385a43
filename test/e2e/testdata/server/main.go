// Command server is the application of the benchmarks: a page, and bodies of any
// length, from memory.
package main

import (
	"log"
	"net/http"
	"strconv"
)

func main() {
	block := make([]byte, 64<<10)
	http.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("hello\n")) })
	http.HandleFunc("GET /bytes/{n}", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.PathValue("n"))
		if err != nil || n < 0 {
			http.Error(w, "how many bytes?", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(n))
		for ; n > 0; n -= len(block) {
			if _, err := w.Write(block[:min(n, len(block))]); err != nil {
				return
			}
		}
	})
	log.Fatal(http.ListenAndServe(":80", nil))
}
