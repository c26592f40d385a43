// Package cli is the aegis command: it reads flags, calls the client, prints, and
// owns all wording and every hint.
//
// cmd/aegis calls Main. Each verb has a file. A command's product goes to standard
// output, everything else to standard error. Package cli decides nothing about
// instances, opens none of the daemon's files but its log, and starts aegisd
// when it is needed and does not run.
package cli
