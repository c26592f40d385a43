// Command app says how it was started, as the one program of an image. With "wait" it
// goes on until it is told to end.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	cwd, _ := os.Getwd()
	files, _ := filepath.Glob("/*")
	data, _ := filepath.Glob("/data/*")
	text, _ := json.Marshal(map[string]any{"args": os.Args[1:], "greeting": os.Getenv("GREETING"), "uid": os.Getuid(), "gid": os.Getgid(),
		"cwd": cwd, "files": append(files, data...)})
	fmt.Println(string(text))
	if len(os.Args) > 1 && os.Args[1] == "wait" {
		end := make(chan os.Signal, 1)
		signal.Notify(end, syscall.SIGTERM)
		<-end
	}
}
