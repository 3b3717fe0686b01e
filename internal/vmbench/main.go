//go:build linux

// Command vmbench runs Exhibit in a virtual machine on media that only a kernel of its own can have: an AHCI disk with
// unreadable sectors, an AHCI SSD, NVMe with sectors of 4096 bytes, USB sticks (bulk-only, UAS, write-protected), SCSI with
// medium errors, a device-mapper target that fails, and a stick that is pulled out and comes back.
//
// It needs what docs/tested-media.md lists, fetches a Debian kernel once with apt-get, and prints one line a medium: how the
// command ended, how many sectors of the image differ from the medium, and what the map calls unread. Start with
// machine.go for the media and with guest.sh for what happens inside. Run it with `make vmbench`; it is no part of the
// clean machine's run. It ends with 1 when a line is not as expected.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"time"
)

func main() { os.Exit(run()) }

func run() int {
	dir := flag.String("dir", "/var/tmp/exhibit-vmbench", "where the kernel is kept and the results go")
	limit := flag.Duration("limit", 20*time.Minute, "how long the machine may take")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	b := &bench{dir: *dir, results: filepath.Join(*dir, "results")}
	for _, step := range []func(context.Context) error{b.prepare, b.kernel, b.initramfs, b.media, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, *limit)
		defer cancel()
		return b.boot(ctx)
	}, b.judge} {
		if err := step(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "vmbench:", err)
			return 1
		}
	}
	return 0
}

// bench is one run: dir keeps the kernel from run to run, results is made anew.
type bench struct {
	dir, results string
	vmlinuz      string
	modules      string // the folder below which lib/modules lies
	initrd       string
}
