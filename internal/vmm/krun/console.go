package krun

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// consoleMark is what libkrun puts, behind the time, before each line of the guest's
// console among its own words (package worker asks for that). A guest can't forge a line
// of libkrun's: what it prints begins behind the mark, and ends with the line.
var consoleMark = []byte(" ERROR init_or_kernel] ")

// lineMost is the most of a line that is looked at together, in bytes. libkrun cuts the
// console's lines at 512.
const lineMost = 4 << 10

// divide copies what the process prints, the lines of the guest's console to one writer
// and the others to another, until it ends. Both must never wait for long.
func divide(from io.Reader, console, log io.WriteCloser) {
	defer console.Close()
	defer log.Close()
	in := bufio.NewReaderSize(from, lineMost)
	begins, to := true, io.Writer(log)
	for {
		line, err := in.ReadSlice('\n')
		if begins && len(line) > 0 {
			to = log
			if text, ok := consoleLine(line); ok {
				line, to = text, console
			}
		}
		to.Write(line) // a writer that fails loses its own bytes
		begins = err == nil
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// consoleLine is what the guest printed, of a line that begins with "[TIME MARK".
func consoleLine(line []byte) ([]byte, bool) {
	const timeMost = 40 // bytes; it has 27
	i := bytes.Index(line[:min(len(line), timeMost+len(consoleMark))], consoleMark)
	if i < 0 || line[0] != '[' || bytes.IndexByte(line[1:i], ' ') >= 0 {
		return nil, false
	}
	return line[i+len(consoleMark):], true
}
