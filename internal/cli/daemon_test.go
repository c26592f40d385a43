package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"aegis/client"
	"aegis/internal/api/apitest"
	"aegis/internal/paths"
)

// fakeDaemon stands in for aegisd, as a process. AEGIS_FAKE says how it behaves:
// "refuse", "mute" and "doctor-…", or, by default, well. It leaves its environment in the
// home, and ends by itself when its test has forgotten it.
func fakeDaemon() {
	home, err := paths.Locate(os.Getenv)
	if err != nil {
		panic(err)
	}
	if len(os.Args) > 1 && os.Args[1] == "doctor" {
		fakeDoctor()
		return
	}
	os.WriteFile(home.Dir+"/environment", []byte(strings.Join(os.Environ(), "\n")), 0o600)
	ready := os.NewFile(3, "ready")
	switch os.Getenv("AEGIS_FAKE") {
	case "mute":
		os.Exit(1)
	case "refuse":
		line, _ := json.Marshal(client.Problem{Title: "open the registry", Detail: "the disk is full", Code: "no_space", Subject: home.Dir})
		fmt.Fprintf(ready, "%s\n", line)
		os.Exit(1)
	case "busy": // another daemon holds the lock: the first call of two finds it so
		if _, err := os.Stat(home.Dir + "/was-busy"); err != nil {
			os.WriteFile(home.Dir+"/was-busy", nil, 0o600)
			fmt.Fprintln(ready, `{"title":"start the daemon","detail":"another one runs","code":"wrong_state"}`)
			os.Exit(1)
		}
	}
	f := &apitest.Fake{}
	stop, err := f.Serve(home.Socket())
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(ready, "ok")
	ready.Close()
	select {
	case <-f.Down():
	case <-time.After(time.Minute):
	}
	stop()
}

func fakeDoctor() {
	checks := []client.Check{
		{Name: "accelerator", Status: "warn", Detail: "no usable KVM: a loop took 19 ms", Fix: "use a machine with KVM"},
		{Name: "kernel", Status: "ok", Detail: "6.1.0"},
	}
	switch os.Getenv("AEGIS_FAKE") {
	case "doctor-fail":
		checks = append(checks, client.Check{Name: "qemu", Status: "fail", Detail: "it is not installed", Fix: "apt-get install qemu-system-x86"})
	case "doctor-broken":
		fmt.Fprintln(os.Stderr, "something odd")
		os.Exit(3)
	}
	json.NewEncoder(os.Stdout).Encode(checks)
}
