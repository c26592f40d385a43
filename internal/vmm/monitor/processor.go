package monitor

import (
	"bytes"
	"io"
	"os"
	"strings"
)

// Processor tells one model of processor from another: what a template was made on.
func Processor() (string, error) { return processor("/proc/cpuinfo") }

// processor is the first processor's entry of a file like /proc/cpuinfo, without what
// changes from one moment to the next. All of a host's are taken to be alike.
func processor(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return "", err
	}
	first, _, _ := bytes.Cut(text, []byte("\n\n"))
	var out []string
	for line := range strings.Lines(string(first)) {
		switch name, _, _ := strings.Cut(line, "\t"); name {
		case "cpu MHz", "bogomips", "processor", "apicid", "initial apicid", "core id", "physical id":
		default:
			out = append(out, line)
		}
	}
	return strings.Join(out, ""), nil
}
