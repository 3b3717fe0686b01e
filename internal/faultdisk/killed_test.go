//go:build linux

package faultdisk_test

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/exhibit-forensics/exhibit/internal/faultdisk"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

// A test run that is killed while it reads its own device must end, and leave nothing attached or mounted: else every later
// run on that machine meets it.
func TestKilled(t *testing.T) {
	testtool.NeedRoot(t)
	if os.Getenv("FAULTDISK_KILLED") == "1" {
		hangForEver(t)
	}
	testtool.Need(t, "sh", "grep", "umount")
	dir := t.TempDir()
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestKilled$")
	cmd.Env = append(os.Environ(), "FAULTDISK_KILLED=1", "TMPDIR="+dir)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	device := strings.TrimSpace(line)
	if err != nil || !strings.HasPrefix(device, "/dev/loop") {
		t.Fatalf("the child says %q, %v", line, err)
	}
	must(t, cmd.Process.Kill())
	if err := cmd.Wait(); err == nil {
		t.Error("the child has ended by itself")
	}
	await(t, "the mount is gone", func() bool {
		left, err := os.ReadDir(dir)
		return err == nil && len(left) == 0
	})
	await(t, "the loop device is free", func() bool {
		b, err := os.ReadFile("/sys/block/" + strings.TrimPrefix(device, "/dev/") + "/loop/backing_file")
		return errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(string(b), dir)
	})
}

// hangForEver tells the name of a device, and reads it where it hangs.
func hangForEver(t *testing.T) {
	d, err := faultdisk.Attach(faultdisk.Options{})
	must(t, err)
	d.Hang(faultdisk.Range{First: 0, Count: 8})
	fd, err := unix.Open(d.Path(), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	go func() { _, _ = unix.Pread(fd, make([]byte, 512), 0) }()
	await(t, "a read hangs", func() bool { return d.Hanging() > 0 })
	_, err = fmt.Fprintln(os.Stdout, d.Path())
	must(t, err)
	select {}
}
