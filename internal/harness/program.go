//go:build linux

package harness

import (
	"errors"
	"iter"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"syscall"

	"aegis/internal/fault"
)

// defaultPath is docker's.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environment is what docker would give: defaults, then base, then own.
func environment(base, own map[string]string, home, hostname string, tty bool) map[string]string {
	env := map[string]string{"PATH": defaultPath, "HOME": home, "HOSTNAME": hostname}
	if tty {
		env["TERM"] = "xterm"
	}
	for _, layer := range []map[string]string{base, own} {
		for k, v := range layer {
			env[k] = v
		}
	}
	return env
}

// pairs is the environment in execve's form.
func pairs(env map[string]string) []string {
	out := make([]string, 0, len(env))
	for k, v := range env {
		out = append(out, k+"="+v)
	}
	sort.Strings(out)
	return out
}

// candidates are the files that execvp(3) would try for name: those on path that
// are there and are files. Relative ones count from dir. Each is looked for when
// its turn comes, which is seldom beyond the first.
func candidates(name, path, dir string) iter.Seq[string] {
	if strings.Contains(name, "/") {
		path, name = filepath.Dir(name), filepath.Base(name)
	}
	return func(yield func(string) bool) {
		for entry := range strings.SplitSeq(path, ":") {
			file := filepath.Join(entry, name)
			if !filepath.IsAbs(entry) {
				file = filepath.Join(dir, entry, name)
			}
			if info, err := os.Stat(file); err == nil && !info.IsDir() && !yield(file) {
				return
			}
		}
	}
}

// execute tries the candidates in order by fork, which gives a PID or execve's
// error. A file without a known format is run by /bin/sh, as execvp does.
func execute(args []string, files iter.Seq[string], fork func(file string, args []string) (int, error)) (int, error) {
	refused := fault.New(fault.CommandNotFound, args[0], "", "%q is not in the instance", args[0])
	for file := range files {
		pid, err := fork(file, args)
		if errors.Is(err, syscall.ENOEXEC) {
			pid, err = fork("/bin/sh", append([]string{"/bin/sh", file}, args[1:]...))
		}
		if err == nil {
			return pid, nil
		}
		refused = notRunnable(args[0], err)
		if !errors.Is(err, syscall.EACCES) {
			break
		}
	}
	return 0, refused
}

func notRunnable(name string, err error) *fault.Error {
	switch {
	case errors.Is(err, syscall.EACCES):
		return fault.New(fault.CommandNotRunnable, name, "", "%q can't be executed by this user, or the working directory can't be entered", name)
	case errors.Is(err, syscall.ENOENT):
		return fault.New(fault.CommandNotRunnable, name, "", "the interpreter of %q is not in the instance", name)
	case errors.Is(err, syscall.E2BIG):
		return fault.New(fault.Invalid, name, "", "arguments and environment of %q are too long", name)
	}
	return fault.New(fault.CommandNotRunnable, name, "", "%q can't be executed: %w", name, err)
}
