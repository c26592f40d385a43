package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

const (
	// showAfter is how long a command runs before it says how far it is.
	showAfter = time.Second
	// redrawEvery is the time between two drawings of that line.
	redrawEvery = 250 * time.Millisecond
	// plainEvery is the time between two lines where standard error is no terminal.
	plainEvery = 30 * time.Second
	// plainWidth is the width of a terminal that doesn't tell it, in characters.
	plainWidth = 80
)

// clearLine goes to the line's beginning and empties it (ECMA-48, EL).
const clearLine = "\r\x1b[K"

// display is the last line of a terminal, on which a command that takes its time
// says how far it is. Nobody else writes there until it has stopped, but by say. A
// nil one shows nothing.
type display struct {
	out   io.Writer
	width func() int
	draw  func(elapsed time.Duration, width int) string

	done    chan struct{}
	stopped func()
	mu      sync.Mutex // of out
}

// live reports whether a line on standard error can be drawn again and again.
func (a *app) live() bool { return terminal(a.err) && a.env("TERM") != "dumb" }

// display begins one. draw is called from another goroutine.
func (a *app) display(draw func(elapsed time.Duration, width int) string) *display {
	if !a.live() {
		return nil
	}
	return newDisplay(a.err, func() int { return widthOf(a.err) }, draw)
}

func newDisplay(out io.Writer, width func() int, draw func(time.Duration, int) string) *display {
	d := &display{out: out, width: width, draw: draw, done: make(chan struct{})}
	var showing sync.WaitGroup
	showing.Go(d.show)
	d.stopped = sync.OnceFunc(func() { close(d.done); showing.Wait() })
	return d
}

// waiting displays what is done and for how long.
func (a *app) waiting(names ...string) *display {
	what := a.verb[strings.LastIndexByte(a.verb, ' ')+1:]
	text := clean(strings.Join(append([]string{what}, names...), " "))
	return a.display(func(elapsed time.Duration, width int) string {
		seconds := fmt.Sprintf(": %s", elapsed.Truncate(time.Second))
		return fit(text, width-len(seconds)) + seconds
	})
}

// stop takes the line away. It may be called again.
func (d *display) stop() {
	if d != nil {
		d.stopped()
	}
}

// say writes a line that stays.
func (d *display) say(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fmt.Fprintf(d.out, "%s%s\n", clearLine, clean(text))
}

func (d *display) show() {
	begun, next := time.Now(), time.NewTimer(showAfter)
	defer next.Stop()
	for shown := false; ; shown = true {
		select {
		case <-d.done:
			if shown {
				fmt.Fprint(d.out, clearLine)
			}
			return
		case <-next.C:
		}
		next.Reset(redrawEvery)
		width := d.width() - 1 // the cursor stays on the line
		d.mu.Lock()
		fmt.Fprint(d.out, clearLine, fit(d.draw(time.Since(begun), width), width))
		d.mu.Unlock()
	}
}

// widthOf is that of a terminal.
func widthOf(f any) int {
	if file, ok := f.(*os.File); ok {
		if cols, _, err := term.GetSize(int(file.Fd())); err == nil && cols > 0 {
			return cols
		}
	}
	return plainWidth
}

// fit cuts text to so many characters.
func fit(text string, width int) string {
	runes := []rune(text)
	switch {
	case len(runes) <= width:
		return text
	case width <= 0:
		return ""
	}
	return string(runes[:width-1]) + "…"
}

// minBar and maxBar are the characters of a bar within its brackets: shorter ones
// tell nothing.
const minBar, maxBar = 8, 40

// bar writes what is done of a total, and draws it where there is room.
func bar(text string, done, total int64, width int) string {
	done = min(max(done, 0), total)
	percent := fmt.Sprintf(" %3d%%", int64(float64(done)/float64(total)*100))
	text = fit(text, width-len(percent))
	room := min(width-len([]rune(text))-len(percent)-len(" []"), maxBar)
	if room < minBar {
		return text + percent
	}
	full := int(float64(room) * float64(done) / float64(total))
	return text + " [" + strings.Repeat("#", full) + strings.Repeat("-", room-full) + "]" + percent
}
