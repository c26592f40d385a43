//go:build linux

package harness

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"aegis/internal/fault"
	"aegis/internal/wire"
)

// seedSize is how many bytes of randomness the host sends.
const seedSize = 32

// rndReseedCRNG makes the kernel use what it was given, at once (linux/random.h,
// RNDRESEEDCRNG; x/sys does not have it).
const rndReseedCRNG = 0x5207

// addEntropy mixes the host's seed into the kernel's random pool, credited in
// full, and reseeds.
func addEntropy(seed []byte) error {
	if len(seed) != seedSize {
		return fault.New(fault.Invalid, "", "", "a seed has %d bytes, not %d", seedSize, len(seed))
	}
	fd, err := unix.Open("/dev/urandom", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	pool := struct { // rand_pool_info of linux/random.h
		bits, size int32
		buf        [seedSize]byte
	}{8 * seedSize, seedSize, [seedSize]byte(seed)}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.RNDADDENTROPY, uintptr(unsafe.Pointer(&pool))); errno != 0 {
		return fmt.Errorf("add entropy: %w", errno)
	}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), rndReseedCRNG, 0); errno != 0 {
		return fmt.Errorf("reseed the random pool: %w", errno)
	}
	return nil
}

func setClock(c wire.Clock) error {
	tv := unix.NsecToTimeval(c.UnixNano)
	if err := unix.Settimeofday(&tv); err != nil {
		return fmt.Errorf("set the clock: %w", err)
	}
	return nil
}

// etcFiles are the instance's own files in /etc, written at each start as docker
// writes them.
func etcFiles(hostname, machineID string, network *wire.Network) map[string]string {
	return map[string]string{
		"machine-id": machineID + "\n",
		"hostname":   hostname + "\n",
		"hosts": "127.0.0.1\tlocalhost\n" +
			"127.0.1.1\t" + hostname + "\n" +
			"::1\tlocalhost ip6-localhost ip6-loopback\n",
		"resolv.conf": resolvConf(network),
	}
}

// writeEtc writes the files below dir. What an image has in their place, a symbolic
// link too, is replaced: it lies in the lower layer and stays there. A file is written
// over, since an overlay takes longer to remove one and make another.
func writeEtc(dir string, files map[string]string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var errs []error
	for name, text := range files {
		path := filepath.Join(dir, name)
		info, err := os.Lstat(path)
		if err == nil && info.Mode().IsRegular() && info.Size() == int64(len(text)) { // an image may have anything there
			if old, err := os.ReadFile(path); err == nil && string(old) == text {
				continue
			}
		}
		if err == nil && !info.Mode().IsRegular() {
			err = os.Remove(path)
		}
		if err == nil || errors.Is(err, os.ErrNotExist) {
			err = overwrite(path, text)
		}
		if err == nil && info != nil && info.Mode().Perm() != 0o644 {
			err = os.Chmod(path, 0o644)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// overwrite makes text all of a file. It never has it empty first: ext4 takes that for a
// replacement, and writes it to the disk while we wait (auto_da_alloc).
func overwrite(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Truncate(int64(len(text))), f.Close())
}

// checkIdentity refuses names that would be more than a name in those files.
func checkIdentity(s wire.Start) error {
	const name = "abcdefghijklmnopqrstuvwxyz0123456789-"
	if s.Hostname == "" || len(s.Hostname) > 63 || strings.Trim(s.Hostname, name) != "" {
		return fault.New(fault.Invalid, "", "", "host name %.80q can't be used", s.Hostname)
	}
	if len(s.MachineID) != 32 || strings.Trim(s.MachineID, "0123456789abcdef") != "" {
		return fault.New(fault.Invalid, "", "", "machine ID %.80q is not 32 hex digits", s.MachineID)
	}
	return nil
}
