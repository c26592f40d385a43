// Netbench measures, from within a guest, the way to the web server of the test's
// internet (testdata/world), whose address is its argument. It prints one JSON object.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

const (
	bulk     = 200 << 20 // bytes
	parallel = 100       // downloads at once
	each     = 1 << 20   // bytes of one of them
	pages    = 40        // each on a connection of its own
)

// figures are bytes a second, and the times of pages in nanoseconds.
type figures struct {
	Down, Up, Parallel float64
	Pages              []time.Duration
}

var client = &http.Client{Transport: &http.Transport{
	DisableKeepAlives: true, ReadBufferSize: 256 << 10, WriteBufferSize: 256 << 10,
	DialContext: (&net.Dialer{Timeout: time.Minute}).DialContext,
}}

func main() {
	f, err := measure("http://" + os.Args[1] + "/")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(f)
}

func measure(url string) (f figures, err error) {
	if err = get(url, 0); err != nil { // what runs first is translated first
		return f, err
	}
	for range pages {
		began := time.Now()
		if err = get(url, 0); err != nil {
			return f, err
		}
		f.Pages = append(f.Pages, time.Since(began))
	}
	if f.Down, err = speed(bulk, func() error { return get(fmt.Sprint(url, bulk, ".bytes"), bulk) }); err != nil {
		return f, err
	}
	if f.Up, err = speed(bulk, func() error { return put(url, bulk) }); err != nil {
		return f, err
	}
	f.Parallel, err = speed(parallel*each, func() error { return many(fmt.Sprint(url, each, ".bytes")) })
	return f, err
}

func speed(bytes int64, f func() error) (float64, error) {
	began := time.Now()
	err := f()
	return float64(bytes) / time.Since(began).Seconds(), err
}

func many(url string) error {
	failed := make(chan error, parallel)
	var all sync.WaitGroup
	for range parallel {
		all.Go(func() {
			if err := get(url, each); err != nil {
				failed <- err
			}
		})
	}
	all.Wait()
	close(failed)
	return <-failed
}

// get reads a page of that many bytes; 0 is any number.
func get(url string, want int64) error {
	res, err := client.Get(url)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var n int64
	for b := make([]byte, 256<<10); err == nil; {
		var read int
		read, err = res.Body.Read(b)
		n += int64(read)
	}
	if err != io.EOF || res.StatusCode != http.StatusOK || want > 0 && n != want {
		return fmt.Errorf("get %s: %s, %d bytes, %w", url, res.Status, n, err)
	}
	return nil
}

func put(url string, size int64) error {
	req, err := http.NewRequest(http.MethodPut, url, io.LimitReader(zeros{}, size))
	if err != nil {
		return err
	}
	req.ContentLength = size
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// zeros is as much of them as is asked for.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }
