package firecracker

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// openSocket finds the socket at path. What was found is what is connected to then, by
// its descriptor: a monitor that was taken over may put a link there at any moment. And
// so the path may be longer than an address.
func openSocket(path string) (*os.File, error) {
	f, err := os.OpenFile(path, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.Mode()&fs.ModeSocket == 0 {
		err = errors.New("it is no socket")
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
