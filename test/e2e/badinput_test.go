package e2e

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// refusal is a command that fails: its exit status and, with "*" for what
// varies, the last two lines of standard error.
type refusal struct {
	name string
	code int
	line string // what: why
	hint string
	args []string
}

// refuses runs a refusal, and wants its three parts and nothing on standard output.
func (h *home) refuses(r refusal) {
	h.t.Helper()
	got := h.run("", r.args...)
	lines := strings.Split(strings.TrimSuffix(got.stderr, "\n"), "\n")
	said := strings.Join(lines[max(0, len(lines)-2):], "\n")
	want := "aegis: " + r.line + "\nhint: " + r.hint
	if got.code != r.code || got.stdout != "" || !fits(want, said) {
		h.t.Errorf("aegis %s: exit status %d, want %d\n%s%s\nwant:\n%s",
			strings.Join(r.args, " "), got.code, r.code, got.stdout, got.stderr, want)
	}
}

// fits matches a text with a pattern in which "*" stands for anything on one line.
func fits(pattern, text string) bool {
	return regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + "$").MatchString(text)
}

func words(line string) []string { return strings.Fields(line) }

// TestBadInput is what can be wrong in a command, each with its exit status, what,
// why and hint; and each leaves the machine as it was.
func TestBadInput(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.ok(words("instance start --name box --expose 80 --pause-after never -- sleep infinity")...)
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	h.write(filepath.Join(h.cwd, "file"), "")
	before := h.trace()
	port := fmt.Sprint(taken.Addr().(*net.TCPAddr).Port)
	for _, r := range append(wrongUsage, h.wrongValues(port)...) {
		t.Run(r.name, func(t *testing.T) {
			in := h.in(t)
			in.refuses(r)
			in.settles(before)
		})
	}
	h.state("box", "RUNNING", 0)
}

const (
	startHint = "aegis instance start --help"
	runHint   = "aegis run --help"
	lookHint  = "aegis run -- ls -l /usr/local/bin /usr/bin"
)

// wrongUsage never reaches the daemon.
var wrongUsage = []refusal{
	{"unknown command", 2, `read the command line: there is no command "bogus"`, "aegis --help", words("bogus")},
	{"a command of docker", 2, `read the command line: there is no command "images"`, "aegis image list", words("images")},
	{"unknown flag", 2, `read the arguments of instance start: unknown flag: --bogus`, startHint, words("instance start --bogus")},
	{"a flag of docker", 2, `read the arguments of run: unknown shorthand flag: 'v' in -v`, runHint, words("run -v /tmp:/x -- true")},
	{"an image as argument", 2, `read the arguments of run: unexpected argument "alpine": a command goes behind --`, runHint, words("run -it alpine sh")},
	{"surplus argument", 2, `read the arguments of status: unexpected argument "now"`, "aegis status --help", words("status now")},
	{"exec without dashes", 2, `read the arguments of exec: unexpected argument "ls": a command goes behind --`, "aegis exec --help", words("exec box ls")},
	{"run without command", 2, `read the arguments of run: the command is missing: it goes behind --`, runHint, words("run")},
	{"secret as argument", 2, `read the arguments of secret set: a value as an argument is refused: other users could see it in the list of processes; give it on standard input`,
		"aegis secret set --help", words("secret set KEY value")},
	{"secret as assignment", 2, `read the arguments of secret set: a value as an argument is refused: other users could see it in the list of processes; give it on standard input`,
		"aegis secret set --help", words("secret set KEY=value")},
	{"memory is no size", 2, `read --memory: "lots" is not a size above 0, like 512M or 8G`, runHint, words("run -m lots -- true")},
	{"negative cpus", 2, `read --cpus: -1 is less than 1`, runHint, words("run --cpus -1 -- true")},
	{"no such port", 2, `expose "99999": "99999" is not a port from 1 to 65535`, startHint, words("instance start --expose 99999")},
	{"odd label", 2, `read --label: "x" is not of the form K=V`, startHint, words("instance start --label x")},
	{"unknown network", 2, `read --net: "moon" is not public, lan or none`, startHint, words("instance start --name two --net moon")},
	{"empty network", 2, `read --net: "" is not public, lan or none`, startHint, words("instance start --name two --net=")},
	{"missing env file", 2, `read --env-file "none": no such file or directory`, runHint, words("run --env-file none -- true")},
}

// wrongValues need the daemon, or the home's files, to be known as wrong. Another
// process of ours holds port.
func (h *home) wrongValues(port string) []refusal {
	box := h.info("box")
	ours := fmt.Sprint(box.Ports[0].Host)
	missing, file := filepath.Join(h.cwd, "missing"), filepath.Join(h.cwd, "file")
	return []refusal{
		{"bad name", 2, `create instance "Bad_Name": name an instance: "Bad_Name" is not a name: a lower-case letter or digit, then up to 62 more or hyphens`, startHint,
			words("instance start --name Bad_Name")},
		{"taken name", 1, `create instance "box": another instance has that name, and starts as it was created; --recreate replaces it`, "aegis instance info box", words("instance start --name box -- true")},
		{"start of what runs", 1, `start instance "box": it is RUNNING`, "aegis instance info box", words("instance start --name box")},
		{"delete of what runs", 1, `delete instance "box": it is RUNNING`, "aegis instance delete --force box", words("instance delete box")},
		{"no such instance", 1, `find instance "nope": *`, "aegis ps", words("instance stop nope")},
		{"exec in no instance", 125, `find instance "nope": *`, "aegis ps", words("exec nope -- true")},
		{"port of an instance", 1, `create instance "two": expose port 127.0.0.1:` + ours + `: it is held by instance ` + box.ID, "ss -ltnp",
			words("instance start --name two --expose " + ours + ":80")},
		{"port of a process", 1, `create instance "two": expose port 127.0.0.1:` + port + `: it is held by e2e.test (pid ` + fmt.Sprint(os.Getpid()) + `)`, "ss -ltnp",
			words("instance start --name two --expose 81 --expose " + port + ":80")},
		{"foreign address", 2, `create an instance: expose port 192.0.2.1:80: this host has no address 192.0.2.1`, runHint, words("run --expose 192.0.2.1:80:80 -- true")},
		{"port exposed twice", 2, `create an instance: expose "80": guest port 80 is exposed twice`, runHint, words("run --expose 80 --expose 80 -- true")},
		{"missing workspace", 1, `use workspace "./missing": no such file or directory`, "ls -ld " + missing, words("instance start --workspace ./missing")},
		{"workspace is a file", 125, `use workspace "./file": it is not a directory`, "ls -ld " + file, words("run --workspace ./file -- true")},
		{"unset secret", 1, `create instance "two": read secrets: NOPE is not set`, "aegis secret set NOPE", words("instance start --name two --secret NOPE")},
		{"unset secrets", 1, `create instance "two": read secrets: ALSO, NOPE are not set`, "aegis secret set ALSO", words("instance start --name two --secret NOPE --secret ALSO")},
		{"delete of an unset secret", 1, `delete secret "NOPE": it is not set`, "aegis secret list", words("secret delete NOPE")},
		{"too much memory", 2, `create an instance: check the instance: 1000 TiB of memory is more than this machine's *`, runHint, words("run -m 1000T -- true")},
		{"too little memory", 2, `create an instance: check the instance: 1 MiB of memory is too little: backend qemu needs *`, runHint, words("run -m 1M -- true")},
		{"too many cpus", 2, `create an instance: check the instance: 100000 processors: this machine offers 1 to *`, runHint, words("run --cpus 100000 -- true")},
		{"too small a disk", 2, `create an instance: check the instance: a disk of 1 MiB: it must have 64 MiB to 1 TiB`, runHint, words("run --disk 1M -- true")},
		{"too large a disk", 2, `create an instance: check the instance: a disk of 100 TiB: it must have 64 MiB to 1 TiB`, runHint, words("run --disk 100T -- true")},
		{"unknown backend", 2, `create an instance: find backend "xen": the backends are *`, runHint, words("run --backend xen -- true")},
		{"unknown image", 125, `create an instance: open image "alpine": there is no image of this name for *`, "aegis image list", words("run --image alpine --pull never -- true")},
		{"a path as image", 2, `read image name "./alpine": it is a path and no reference: aegis image import takes those`, runHint, words("run --image ./alpine -- true")},
		{"pause-after is no time", 2, `create an instance: check --pause-after: "soon" is not a duration *`, runHint, words("run --pause-after soon -- true")},
		{"address as a host", 2, `create an instance: check the network: host "1.2.3.4" is an address, which --allow-cidr takes`, runHint, words("run --allow-host 1.2.3.4 -- true")},
		{"stars within a host", 2, `create an instance: check the network: host "a.*.test" is no host name, nor *. and one`, runHint, words("run --allow-host a.*.test -- true")},
		{"empty host", 2, `create an instance: check the network: host "" is no host name, nor *. and one`, runHint, words("run --allow-host= -- true")},
		{"name as a range", 2, `create an instance: check the network: "web.test" is no range of addresses like 203.0.113.0/24`, runHint, words("run --allow-cidr web.test -- true")},
		{"range that is always refused", 2, `create an instance: check the network: 127.0.0.0/8 is loopback, which no instance may reach`, runHint, words("run --allow-cidr 127.0.0.0/8 -- true")},
		{"allow-list without a network", 2, `create an instance: check the network: an allow-list needs a network, and this one is none`, runHint, words("run --net none --allow-host a.test -- true")},
		{"relative working directory", 2, `create an instance: check the instance: working directory "rel" is not absolute`, runHint, words("run -w rel -- true")},
		{"command not found by exec", 127, `run a command in instance "box": "nope" is not in the instance`, lookHint, words("exec box -- nope")},
		{"command not executable by exec", 126, `run a command in instance "box": "/etc/passwd" can't be executed by this user*`, lookHint, words("exec box -- /etc/passwd")},
		{"command not found", 127, `start instance "two": "nope" is not in the instance`, lookHint, words("run --name two -- nope")},
		{"command not executable", 1, `start instance "two": "/etc/passwd" can't be executed by this user*`, lookHint, words("instance start --name two -- /etc/passwd")},
		{"unknown user", 2, `start instance "two": the image has no user "nobody-here"`, runHint, words("run --name two -u nobody-here -- true")},
	}
}

// TestThingsGo starts an instance again whose workspace or secret has gone
// meanwhile: it is refused, stays as it was, and starts when both are back.
func TestThingsGo(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write(filepath.Join(h.cwd, "app", "page"), "kept\n")
	h.ok(words("secret set KEY --from-file app/page")...)
	h.ok(words("instance start --name web --workspace ./app --secret KEY -- true")...)
	h.state("web", "STOPPED", time.Minute)
	before := h.trace()

	app, away := filepath.Join(h.cwd, "app"), filepath.Join(h.cwd, "away")
	if err := os.Rename(app, away); err != nil {
		t.Fatal(err)
	}
	h.refuses(refusal{"", 1, `start instance "web": ` + app + ` does not exist`, "ls -ld " + app, words("instance start --name web")})
	h.settles(before)
	if err := os.Rename(away, app); err != nil {
		t.Fatal(err)
	}
	h.ok(words("secret delete KEY")...)
	h.refuses(refusal{"", 1, `start instance "web": KEY is not set`, "aegis secret set KEY", words("instance start --name web")})
	h.ok(words("secret set KEY --from-file app/page")...)
	h.settles(before)
	h.ok(words("instance start --name web")...)
}
