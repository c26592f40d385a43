package client

import "time"

// Instance is the one object of Aegis, as every answer and every --json gives it.
type Instance struct {
	ID           string            `json:"id" doc:"inst- and 12 base32 characters"`
	Name         string            `json:"name" doc:"unique; a lower-case letter or digit, then up to 62 more or hyphens"`
	State        string            `json:"state" enum:"STOPPED,STARTING,RUNNING,PAUSED"`
	Image        string            `json:"image"`
	Platform     string            `json:"platform" doc:"of the guest: linux/amd64 or linux/arm64"`
	Command      []string          `json:"command"`
	Workdir      string            `json:"workdir"`
	User         string            `json:"user,omitempty"`
	Env          map[string]string `json:"env" doc:"without secrets"`
	Secrets      []string          `json:"secrets" doc:"names only"`
	StaleSecrets []string          `json:"stale_secrets,omitempty" doc:"secrets whose value has changed since this start"`
	Workspace    *Workspace        `json:"workspace"`
	Ports        []Port            `json:"ports"`
	CPUs         int               `json:"cpus"`
	Memory       int64             `json:"memory" doc:"bytes"`
	MemoryUsed   int64             `json:"memory_used,omitempty" doc:"bytes resident on the host: monitor, shim and helpers"`
	CPUUsed      string            `json:"cpu_used,omitempty" doc:"processor time of this life, as Go writes durations"`
	Disk         int64             `json:"disk" doc:"bytes; the writable layer's size"`
	DiskUsed     int64             `json:"disk_used" doc:"bytes that it takes on the host"`
	Net          string            `json:"net"`
	NetUsed      *NetUse           `json:"net_used,omitempty" doc:"of this life; absent when it has no network"`
	AllowHosts   []string          `json:"allow_hosts"`
	AllowCIDRs   []string          `json:"allow_cidrs"`
	Labels       map[string]string `json:"labels"`
	Backend      string            `json:"backend"`
	Accelerator  string            `json:"accelerator" doc:"kvm, hvf or tcg"`
	Isolation    string            `json:"isolation" enum:"hardware,emulated"`
	Confinement  string            `json:"confinement" doc:"what holds its processes on the host: full, no-landlock, no-namespaces, sandbox, off; empty before the first start"`
	Limits       *Limits           `json:"limits,omitempty" doc:"what its processes on the host can take of it; absent when nothing limits them, or none runs"`
	PauseAfter   string            `json:"pause_after" doc:"a duration, or never"`
	StopAfter    string            `json:"stop_after" doc:"a duration, or never"`
	Restart      string            `json:"restart"`
	CreatedAt    time.Time         `json:"created_at"`
	StartedAt    *time.Time        `json:"started_at"`
	StoppedAt    *time.Time        `json:"stopped_at"`
	AwakeBecause []string          `json:"awake_because" doc:"what keeps it from pausing, now"`
	PausesAt     *time.Time        `json:"pauses_at" doc:"when it pauses if nothing happens"`
	HeldUntil    *time.Time        `json:"held_until,omitempty" doc:"its command keeps ending at once: no connection starts it before"`
	Exit         *Exit             `json:"exit" doc:"how the last life ended"`
	Wakes        []Wake            `json:"wakes" doc:"the last 20, newest first"`
}

// Workspace is the host directory at /workspace.
type Workspace struct {
	Path     string `json:"path"`
	ReadOnly bool   `json:"read_only"`
}

// Limits are what the processes of a running instance can take from the host, together. A
// zero is no limit.
type Limits struct {
	Memory    int64 `json:"memory" doc:"bytes: the guest's, and what its monitor and helpers need besides"`
	PIDs      int64 `json:"pids" doc:"processes and threads"`
	CPUWeight int64 `json:"cpu_weight" doc:"share of a busy host's processors beside other instances; 100 for each of its own"`
}

// Port is one exposed port.
type Port struct {
	Guest    int    `json:"guest"`
	IP       string `json:"ip"`
	Host     int    `json:"host"`
	Protocol string `json:"protocol" enum:"http,tcp"`
	URL      string `json:"url"`
}

// Exit is how a life of an instance ended.
type Exit struct {
	Code   int       `json:"code"`
	Signal int       `json:"signal"`
	Reason string    `json:"reason" enum:"exited,stopped,idle,oom,boot-failed,vm-died,guest-panic"`
	Error  string    `json:"error"`
	At     time.Time `json:"at"`
}

// Wake is one return to RUNNING, with the milliseconds that each stage took.
type Wake struct {
	At     time.Time          `json:"at"`
	From   string             `json:"from" enum:"STOPPED,PAUSED"`
	Origin string             `json:"origin,omitempty" enum:"pool,template,cold" doc:"of a start: what the VM was made from"`
	MS     float64            `json:"ms"`
	Stages map[string]float64 `json:"stages"`
}

// Create is what a new instance is made from. Zero values mean the defaults of
// the configuration.
type Create struct {
	Name       string            `json:"name,omitempty"`
	Image      string            `json:"image,omitempty"`
	Platform   string            `json:"platform,omitempty" doc:"linux/amd64 or linux/arm64; the host's by default. Another is emulated"`
	Command    []string          `json:"command,omitempty"`
	Workdir    string            `json:"workdir,omitempty"`
	User       string            `json:"user,omitempty"`
	Env        map[string]string `json:"env,omitempty"`
	Secrets    []string          `json:"secrets,omitempty" doc:"names; * is all"`
	Workspace  *Workspace        `json:"workspace,omitempty" doc:"path is absolute, or the name of a named workspace"`
	Expose     []string          `json:"expose,omitempty" doc:"[[IP:]HOST:]GUEST[/http|/tcp]"`
	CPUs       int               `json:"cpus,omitempty" minimum:"0"`
	Memory     int64             `json:"memory,omitempty" minimum:"0" doc:"bytes"`
	Disk       int64             `json:"disk,omitempty" minimum:"0" doc:"bytes"`
	Net        string            `json:"net,omitempty" enum:",public,lan,none"`
	AllowHosts []string          `json:"allow_hosts,omitempty" doc:"names, or *. and a name; with one, or a range, only these are reached"`
	AllowCIDRs []string          `json:"allow_cidrs,omitempty" doc:"ranges of addresses"`
	Labels     map[string]string `json:"labels,omitempty"`
	Backend    string            `json:"backend,omitempty"`
	PauseAfter string            `json:"pause_after,omitempty" doc:"a duration; 0 or never switches it off"`
	StopAfter  string            `json:"stop_after,omitempty" doc:"a duration; 0 or never switches it off"`
	Restart    string            `json:"restart,omitempty" enum:",no,on-failure,always"`
	Ephemeral  bool              `json:"ephemeral,omitempty" doc:"deleted, with its temporary workspace, when it has stopped"`
	TTY        bool              `json:"tty,omitempty"`
	NoTemplate bool              `json:"no_template,omitempty" doc:"it always boots: nothing of it is made ahead"`
	Recreate   bool              `json:"recreate,omitempty" doc:"in the place of the instance of this name, which is stopped and deleted once all that can be checked is right; a guest port that is exposed again without a host port keeps its own"`
	Rows       int               `json:"rows,omitempty" minimum:"0" maximum:"65535"`
	Cols       int               `json:"cols,omitempty" minimum:"0" maximum:"65535"`
}

// Lease asks to keep an instance awake.
type Lease struct {
	For    string `json:"for" doc:"a duration from 1s to 24h"`
	Reason string `json:"reason,omitempty" maxLength:"200" doc:"shown by info"`
}

// Exec is one more process to run in an instance.
type Exec struct {
	Command []string          `json:"command" minItems:"1"`
	Env     map[string]string `json:"env,omitempty"`
	Workdir string            `json:"workdir,omitempty"`
	User    string            `json:"user,omitempty"`
	TTY     bool              `json:"tty,omitempty"`
	Rows    int               `json:"rows,omitempty" minimum:"0" maximum:"65535"`
	Cols    int               `json:"cols,omitempty" minimum:"0" maximum:"65535"`
	NoStdin bool              `json:"no_stdin,omitempty" doc:"its input is empty from the beginning, which is quicker than to end it; not with tty"`
}

// Status describes the daemon.
type Status struct {
	Version     string         `json:"version"`
	PID         int            `json:"pid"`
	StartedAt   time.Time      `json:"started_at"`
	Home        string         `json:"home"`
	Cache       string         `json:"cache"`
	Socket      string         `json:"socket"`
	FrontDoor   string         `json:"front_door" doc:"URL; empty when its port is taken"`
	Listen      string         `json:"listen" doc:"address of the API over TCP; empty when there is none"`
	Backend     string         `json:"backend"`
	Accelerator string         `json:"accelerator"`
	Isolation   string         `json:"isolation" enum:"hardware,emulated"`
	Confinement string         `json:"confinement" doc:"what holds the processes of an instance that is started now: full, no-landlock, no-namespaces, sandbox, off"`
	Limits      []string       `json:"limits" doc:"what control groups limit for an instance that is started now: memory, pids, cpu"`
	LimitsLack  string         `json:"limits_lack,omitempty" doc:"why not all of these are limited"`
	LimitsFix   string         `json:"limits_fix,omitempty" doc:"the command that mends it"`
	Backends    []Backend      `json:"backends" doc:"all there are, the preferred ones first"`
	Instances   map[string]int `json:"instances" doc:"how many are in each state"`
	Templates   int            `json:"templates" doc:"how many there are"`
	PoolReady   int            `json:"pool_ready" doc:"virtual machines that wait for an instance"`
	PoolSize    int            `json:"pool_size" doc:"how many are wanted"`
	Ready       bool           `json:"ready" doc:"kernel and default image are there"`
	Platforms   []string       `json:"platforms" doc:"those whose kernel and default image are there"`
	Kernels     []string       `json:"kernels" doc:"platforms whose kernel is there: what instances of an image that is there need"`
	Warnings    []string       `json:"warnings"`
}

// Backend is a kind of virtual machine monitor.
type Backend struct {
	Name   string `json:"name"`
	Usable bool   `json:"usable" doc:"it works on this machine"`
	Build  string `json:"build" doc:"its version, where it is usable"`
	Reason string `json:"reason" doc:"why it is, or is not, what instances are started with by default"`
	Fix    string `json:"fix,omitempty" doc:"the command that makes it usable, where one does"`
}

// Setting is one key of the configuration.
type Setting struct {
	Key    string `json:"key" doc:"in config.toml"`
	Env    string `json:"env" doc:"the variable that overrides it"`
	Value  string `json:"value" doc:"in the form that config.toml takes"`
	Origin string `json:"origin" doc:"default, FILE:LINE or the variable"`
	Doc    string `json:"doc"`
}

// Version names the programs and the protocol between them.
type Version struct {
	Version string `json:"version"`
	API     string `json:"api"`
	Guest   string `json:"guest_protocol"`
}

// Check is one line of doctor.
type Check struct {
	Name   string `json:"name"`
	Status string `json:"status" enum:"ok,warn,fail"`
	Detail string `json:"detail" doc:"what was found, and why it matters"`
	Fix    string `json:"fix" doc:"the command that mends it, or that adds what is not needed; empty where there is nothing to do"`
}

// Progress is one line of the stream of a setup, a pull or an import.
type Progress struct {
	Step    string   `json:"step"`
	Message string   `json:"message"`
	Done    int64    `json:"done,omitempty"`
	Total   int64    `json:"total,omitempty" doc:"0 when unknown"`
	Image   *Image   `json:"image,omitempty" doc:"only on the last line of a pull or an import"`
	Error   *Problem `json:"error,omitempty" doc:"only on the last line of what failed"`
}

// Secret is one stored secret, without its value.
type Secret struct {
	Name      string    `json:"name"`
	UpdatedAt time.Time `json:"updated_at"`
}

// LogLine is one line of an instance's log, as on disk.
type LogLine struct {
	TS         time.Time `json:"ts"`
	Stream     string    `json:"stream" enum:"stdout,stderr,system"`
	Line       string    `json:"line"`
	Base64     bool      `json:"base64,omitempty" doc:"line holds base64: the bytes were not UTF-8"`
	Partial    bool      `json:"partial,omitempty" doc:"no newline followed these bytes"`
	InstanceID string    `json:"instance_id"`
	ExecID     string    `json:"exec_id,omitempty"`
}

// Event is something that happened to an instance.
type Event struct {
	Seq        uint64     `json:"seq,omitempty" doc:"counts from 1 since the daemon began; 0 of lost"`
	TS         time.Time  `json:"ts"`
	Event      string     `json:"event" enum:"created,starting,running,paused,resumed,stopped,held-back,deleted,fell-back,denied,lost"`
	InstanceID string     `json:"instance_id,omitempty"`
	Name       string     `json:"name,omitempty"`
	Exit       *Exit      `json:"exit,omitempty" doc:"of stopped"`
	Until      *time.Time `json:"until,omitempty" doc:"of held-back"`
	Reason     string     `json:"reason,omitempty" doc:"of fell-back: why the start was not made from a template"`
	Denied     *Denial    `json:"denied,omitempty" doc:"of denied: what the guest was not let to reach"`
	Lost       uint64     `json:"lost,omitempty" doc:"of lost: so many events came too fast for this reader"`
}

// Denial is something that a guest tried to reach and was not let to.
type Denial struct {
	Network string `json:"network" enum:"tcp,udp,icmp,dns"`
	Target  string `json:"target" doc:"address and port, address, or name"`
	Class   string `json:"class,omitempty" doc:"of the address"`
	Why     string `json:"why"`
	Untold  int    `json:"untold,omitempty" doc:"denials before it that are no events, since they came too fast"`
}

// NetUse is what the network of a life has carried, and what it has not.
type NetUse struct {
	Sent     uint64 `json:"sent" doc:"bytes from the guest, payload of TCP and UDP, exposed ports included"`
	Received uint64 `json:"received" doc:"bytes to the guest, payload of TCP and UDP, exposed ports included"`
	Queries  uint64 `json:"queries" doc:"DNS questions"`
	Denied   uint64 `json:"denied" doc:"attempts that the policy refused"`
	Dropped  uint64 `json:"dropped" doc:"frames that were not the guest's to send, and what was beyond its caps"`
}

// Problem is an error as the API answers it (RFC 9457), with a stable code.
type Problem struct {
	Type    string `json:"type,omitempty"`
	Title   string `json:"title" doc:"what failed"`
	Status  int    `json:"status,omitempty"`
	Detail  string `json:"detail,omitempty" doc:"why"`
	Code    string `json:"code" doc:"stable; see docs/api.md"`
	Subject string `json:"subject,omitempty" doc:"the name that it is about"`
}
