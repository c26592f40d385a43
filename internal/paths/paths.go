// Package paths names every file and directory that Aegis writes. A name that is
// not a constant here does not exist on disk; a test walks a used home to hold
// that. Nothing here touches the disk but Prepare.
package paths

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"aegis/internal/fault"
)

// Environment variables that move the roots.
const (
	EnvHome  = "AEGIS_HOME"  // default ~/.aegis
	EnvCache = "AEGIS_CACHE" // default AEGIS_HOME/cache; may be shared by several homes
)

// Names below a home.
const (
	nameConfig     = "config.toml"    // user's settings
	nameSocket     = "aegisd.sock"    // the API
	nameLock       = "aegisd.lock"    // flock(2) held by the one daemon
	nameDaemonLog  = "aegisd.log"     // what the daemon itself says
	nameEarlierLog = "aegisd.log.1"   // and what it had said before
	nameRegistry   = "registry.db"    // SQLite, with -wal and -shm beside it
	nameSecrets    = "secrets"        // one sealed file a secret
	nameSecretKey  = "secret.key"     // 0600, where there is no keyring
	nameToken      = "api.token"      // 0600, what the API over TCP asks for
	nameInstances  = "instances"      // one directory an instance ID
	nameWorkspaces = "workspaces"     // named workspaces
	nameTemporary  = "tmp-workspaces" // of ephemeral runs, by instance ID
	nameRun        = "run"            // one directory a run (life of a VM)
	nameTemplates  = "templates"      // one directory a key: VMs to restore others from
	nameCache      = "cache"          // kernel, images, blank disks: all can be made again
)

// Names below an instance's directory.
const (
	nameDisk = "disk.ext4" // upper layer of the root, sparse
	nameLogs = "log"       // directory of NDJSON files
)

// Names of files that come in numbers.
const (
	nameLogFile      = "%06d.ndjson" // one stretch of a log, counting from 1
	suffixSecret     = ".age"        // behind the encoded name of a secret
	prefixUnfinished = ".new-"       // a sealed file that is being written
)

// Names of a template: the monitor's files are beside its manifest.
const (
	nameManifest     = "template.json" // written last
	suffixUnfinished = ".new"          // behind the key while it is made
	suffixLeaving    = ".old"          // behind the key while it is removed
)

// Names below a run's directory.
const (
	nameShimSocket = "shim.sock"    // aegisd's way to the shim
	nameExit       = "exit.json"    // written by the shim before it ends
	nameVMM        = "vmm"          // the monitor's own files
	nameScratch    = "scratch.ext4" // in the place of a disk, until there is one
	nameShimLog    = "shim.log"     // the shim's own last words
	nameGroup      = "cgroup"       // where the run's control group is
)

// Names below a cache.
const (
	nameKernel = "kernel" // one directory a kernel version
	nameImages = "images" // one directory an image digest
	nameLayers = "layers" // packed layers of images by digest
	nameBlank  = "blank"  // formatted, empty disks by size
	nameStage  = "stage"  // unfinished work, safe to remove when no daemon runs
)

// MaxSocket is the longest path that fits sockaddr_un on every platform: 104
// bytes on macOS (sys/un.h), 108 on Linux (unix(7)), each with its final zero.
const MaxSocket = 103

// Home is the one root of a user's Aegis.
type Home struct {
	Dir     string // absolute
	Cache   string // absolute
	sockets string // directory of the sockets: Dir, or one below XDG_RUNTIME_DIR
}

// Locate finds the home from the environment, without touching the disk. The
// sockets move to XDG_RUNTIME_DIR when a path below the home would not fit
// sockaddr_un; without that directory it is a fault.PathTooLong.
func Locate(getenv func(string) string) (Home, error) {
	dir := getenv(EnvHome)
	if dir == "" {
		user := getenv("HOME")
		if user == "" {
			return Home{}, fault.New(fault.Invalid, EnvHome, "find the home of Aegis", "neither AEGIS_HOME nor HOME is set")
		}
		dir = filepath.Join(user, ".aegis")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Home{}, fault.New(fault.Invalid, EnvHome, "find the home of Aegis", "%w", err)
	}
	h := Home{Dir: dir, Cache: getenv(EnvCache), sockets: dir}
	if h.Cache == "" {
		h.Cache = filepath.Join(dir, nameCache)
	} else if h.Cache, err = filepath.Abs(h.Cache); err != nil {
		return Home{}, fault.New(fault.Invalid, EnvCache, "find the cache of Aegis", "%w", err)
	}
	if h.fits() {
		return h, nil
	}
	if runtime := getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(runtime) {
		sum := sha256.Sum256([]byte(dir))
		h.sockets = filepath.Join(runtime, "aegis-"+hex.EncodeToString(sum[:4]))
		if h.fits() {
			return h, nil
		}
	}
	return Home{}, fault.New(fault.PathTooLong, dir, "find a place for the sockets of Aegis",
		"%s has %d bytes, a socket below it would pass the limit of %d, and XDG_RUNTIME_DIR offers no shorter place",
		dir, len(dir), MaxSocket)
}

// fits reports whether the longest socket path is short enough.
func (h Home) fits() bool { return len(h.Run("run-aaaaaaaaaaaa").Socket()) <= MaxSocket }

// SocketsMoved reports whether the sockets are outside the home, and where.
func (h Home) SocketsMoved() (string, bool) { return h.sockets, h.sockets != h.Dir }

// CacheShared reports whether the cache is outside of the home, where other homes
// may use it.
func (h Home) CacheShared() bool { return h.Cache != filepath.Join(h.Dir, nameCache) }

// Config is the user's settings file. It may be missing.
func (h Home) Config() string { return filepath.Join(h.Dir, nameConfig) }

// Socket is the API's unix socket, 0600.
func (h Home) Socket() string { return filepath.Join(h.sockets, nameSocket) }

// Lock is held by the one daemon of this home.
func (h Home) Lock() string { return filepath.Join(h.Dir, nameLock) }

// DaemonLog is what the daemon itself says.
func (h Home) DaemonLog() string { return filepath.Join(h.Dir, nameDaemonLog) }

// EarlierDaemonLog is what was in DaemonLog before it was full.
func (h Home) EarlierDaemonLog() string { return filepath.Join(h.Dir, nameEarlierLog) }

// Registry is the SQLite database of instances.
func (h Home) Registry() string { return filepath.Join(h.Dir, nameRegistry) }

// Secrets is the directory of sealed values.
func (h Home) Secrets() string { return filepath.Join(h.Dir, nameSecrets) }

// Secret is the sealed file of one secret. The name is in base32, for file
// systems that take API_KEY and api_key for one file: 128 bytes become 205.
func (h Home) Secret(name string) string {
	return filepath.Join(h.Secrets(), secretEncoding.EncodeToString([]byte(name))+suffixSecret)
}

// SecretName is the secret that a file of that base name holds.
func SecretName(file string) (name string, ok bool) {
	encoded, ok := strings.CutSuffix(file, suffixSecret)
	decoded, err := secretEncoding.DecodeString(encoded)
	return string(decoded), ok && err == nil && len(decoded) > 0
}

// Unfinished is the pattern (os.CreateTemp) of a sealed file that is being written.
func (h Home) Unfinished() string { return filepath.Join(h.Secrets(), prefixUnfinished+"*") }

var secretEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// SecretKey seals them where there is no keyring.
func (h Home) SecretKey() string { return filepath.Join(h.Dir, nameSecretKey) }

// Token is what a client of the API over TCP has to show, 0600.
func (h Home) Token() string { return filepath.Join(h.Dir, nameToken) }

// Workspaces holds the named workspaces.
func (h Home) Workspaces() string { return filepath.Join(h.Dir, nameWorkspaces) }

// Workspace is a named workspace.
func (h Home) Workspace(name string) string { return filepath.Join(h.Workspaces(), name) }

// TemporaryWorkspaces holds the workspaces of ephemeral runs.
func (h Home) TemporaryWorkspaces() string { return filepath.Join(h.Dir, nameTemporary) }

// TemporaryWorkspace is the one of an ephemeral run, by instance ID.
func (h Home) TemporaryWorkspace(id string) string { return filepath.Join(h.TemporaryWorkspaces(), id) }

// Instances holds a directory for each instance ID.
func (h Home) Instances() string { return filepath.Join(h.Dir, nameInstances) }

// Instance is what one instance keeps while it is stopped.
func (h Home) Instance(id string) Instance { return Instance{filepath.Join(h.Instances(), id)} }

// Runs holds a directory for each running VM.
func (h Home) Runs() string { return filepath.Join(h.sockets, nameRun) }

// Run is what one life of a VM uses; it is removed at its end.
func (h Home) Run(id string) Run { return Run{filepath.Join(h.Runs(), id)} }

// Kernels holds a directory for each kernel version.
func (h Home) Kernels() string { return filepath.Join(h.Cache, nameKernel) }

// Images holds a directory for each image.
func (h Home) Images() string { return filepath.Join(h.Cache, nameImages) }

// Layers holds the packed layers that images were made from.
func (h Home) Layers() string { return filepath.Join(h.Cache, nameLayers) }

// Blank holds formatted, empty disks.
func (h Home) Blank() string { return filepath.Join(h.Cache, nameBlank) }

// Stage holds unfinished work.
func (h Home) Stage() string { return filepath.Join(h.Cache, nameStage) }

// Instance is a directory of one instance.
type Instance struct{ Dir string }

// Disk is the upper layer of the root file system.
func (i Instance) Disk() string { return filepath.Join(i.Dir, nameDisk) }

// Logs is the directory of its log files.
func (i Instance) Logs() string { return filepath.Join(i.Dir, nameLogs) }

// LogFile is the n-th file of a log directory, counting from 1.
func LogFile(dir string, n int) string { return filepath.Join(dir, fmt.Sprintf(nameLogFile, n)) }

// LogNumber is the n of a file of that base name.
func LogNumber(file string) (n int, ok bool) {
	n, err := strconv.Atoi(strings.TrimSuffix(file, filepath.Ext(nameLogFile)))
	return n, err == nil && n > 0 && file == fmt.Sprintf(nameLogFile, n)
}

// Run is a directory of one run.
type Run struct{ Dir string }

// Socket is aegisd's way to the shim, 0600.
func (r Run) Socket() string { return filepath.Join(r.Dir, nameShimSocket) }

// Exit is written, atomically, by the shim as its last act.
func (r Run) Exit() string { return filepath.Join(r.Dir, nameExit) }

// VMM is the monitor's own directory.
func (r Run) VMM() string { return filepath.Join(r.Dir, nameVMM) }

// Scratch is the empty disk of a run that waits for its instance.
func (r Run) Scratch() string { return filepath.Join(r.Dir, nameScratch) }

// Disk is an empty disk that such a run has mounted, for an instance that has none.
func (r Run) Disk() string { return filepath.Join(r.Dir, nameDisk) }

// Group is a file that holds the path of the run's control group, if it has one.
func (r Run) Group() string { return filepath.Join(r.Dir, nameGroup) }

// Log is where the shim's standard error goes.
func (r Run) Log() string { return filepath.Join(r.Dir, nameShimLog) }

// Prepare makes the home, its sockets' directory and the cache, 0700. It refuses a
// home that belongs to another user (fault.Invalid), before it makes anything in
// it, and takes away what others may do there. A full disk is a fault.NoSpace.
func (h Home) Prepare() error {
	for _, dir := range []string{h.Dir, h.sockets, h.Runs(), h.Instances(), h.Secrets(), h.Cache, h.Stage()} {
		err := os.MkdirAll(dir, 0o700)
		if err == nil && (dir == h.Dir || dir == h.sockets) {
			err = private(dir)
		}
		if errors.Is(err, syscall.ENOSPC) {
			return fault.New(fault.NoSpace, dir, "prepare "+h.Dir, "%w", err)
		}
		if err != nil {
			return fault.New(fault.Invalid, dir, "prepare "+h.Dir, "%w", err)
		}
	}
	return nil
}
