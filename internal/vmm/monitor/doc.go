// Package monitor is what the backends share of a monitor's process: how it is
// started, stopped, let go on and reaped, how what it prints is read, how it is
// connected to us, and which
// processor it runs on.
//
// The backends call it. It knows no monitor's command line, opens no file of a guest,
// and never waits for whoever reads what a monitor prints.
package monitor
