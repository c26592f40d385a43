package daemon

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"

	"aegis/client"
	"aegis/internal/confine"
	"aegis/internal/fault"
	"aegis/internal/version"
)

// Main is the program aegisd. It returns the exit status.
//
//	aegisd [--ready-fd N]   serve; on N one line: "ok", or a client.Problem as JSON
//	aegisd doctor           print []client.Check as JSON; 0 if an instance could start
//	aegisd version
//	aegisd flatten RUNG     read a foreign image for the daemon; see flatten.go
func Main(args []string) int {
	if len(args) > 0 {
		switch args[0] {
		case "doctor":
			return doctorMain(os.Stdout)
		case "version":
			fmt.Println(version.Version)
			return 0
		case flattenWord:
			return flattenMain(args[1:])
		}
	}
	flags := flag.NewFlagSet("aegisd", flag.ContinueOnError)
	fd := flags.Int("ready-fd", -1, "write a line here when the API answers, or why it does not")
	if flags.Parse(args) != nil || flags.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "aegisd: wrong arguments; `aegis up` starts this program")
		return 2
	}
	var ready io.WriteCloser
	if *fd >= 0 {
		ready = os.NewFile(uintptr(*fd), "ready")
	}
	log := newLog(ownLog(os.Getenv))
	if err := confine.Private(); err != nil { // secrets pass through
		log.Warn("others can see what is in memory", "error", err)
	}
	slog.SetLogLoggerLevel(slog.LevelDebug) // what libraries say of a guest's odd bytes is not news
	slog.SetDefault(log)
	if err := serve(os.Getenv, log, func(err error) { tell(ready, err) }); err != nil {
		log.Error("ended", "error", err)
		return 1
	}
	return 0
}

// tell answers whoever started us, once.
func tell(ready io.WriteCloser, err error) {
	if ready == nil {
		return
	}
	defer ready.Close()
	if err == nil {
		io.WriteString(ready, "ok\n")
		return
	}
	f := fault.As(err)
	json.NewEncoder(ready).Encode(client.Problem{Title: f.What, Detail: f.Why, Code: string(f.Kind), Subject: f.Subject, Status: f.Kind.Status()})
}
