package logs

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRedact searches the files for the bytes of secrets that processes print.
func TestRedact(t *testing.T) {
	dir := t.TempDir()
	w, err := Open(dir, "inst-aaaaaaaaaaaa", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string]string{"LONG": "hunter2-and-more", "PART": "hunter2", "KEY": "line one\r\nline two\n", "TINY": "a"}
	w.Redact(secrets)
	for _, stream := range []string{Stdout, Stderr} {
		s := w.Stream(stream, "exec-1")
		for _, p := range []string{"say hunter2-and-mo", "re twice hunter2-and-more hunter2\n", "line one\nline two\n", "\xffhunter2\xff\n", "a last hunter2"} {
			s.Write([]byte(p))
		}
		s.Close()
	}
	w.System("boot failed: hunter2")
	w.Close()
	files, _ := filepath.Glob(filepath.Join(dir, "*"))
	var all []byte
	for _, name := range files {
		body, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, body...)
	}
	for _, bytesOf := range []string{"hunter2", "aHVudGVyM", "line one", "line two", "-and-more"} {
		if bytes.Contains(all, []byte(bytesOf)) {
			t.Errorf("%q is in the log:\n%s", bytesOf, all)
		}
	}
	for _, want := range []string{"say [secret LONG] twice [secret LONG] [secret PART]", "[secret KEY]", "a last [secret PART]", "boot failed: [secret PART]"} {
		if !strings.Contains(string(all), want) {
			t.Errorf("the log lacks %q:\n%s", want, all)
		}
	}
}
