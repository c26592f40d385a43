// Package harness is PID 1 of the guest: it boots the microVM, makes it the
// instance that the host asks for, runs the user's processes and reports on them.
//
// Who calls it: cmd/aegis-harness alone, as /init of the initramfs. The host is the
// only one it obeys, over the control channel (package wire). To the processes of
// the guest it offers /run/aegis.sock, where they learn what their instance is and
// may ask the host to keep it awake. It imports no HTTP library and no other part
// of Aegis. It never writes a secret to a disk or the console,
// never opens a stream to the host by itself, and leaves nothing of its own in
// the user's root file system.
//
// Everything here runs as root inside a machine that belongs to the user, so
// what it defends is not the guest but its own truthfulness: exits, output and
// disks are reported as they are, for as long as the kernel lets it run.
package harness
