//go:build linux

package faultdisk

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// unmount takes a FUSE mount away at once, whoever uses it, and waits until its server has ended.
func unmount(dir string, served <-chan struct{}) error {
	if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount %q: %w", dir, err)
	}
	select {
	case <-served:
		return nil
	case <-time.After(10 * time.Second):
		return fmt.Errorf("the mount at %q does not end: somebody has a file in it open", dir)
	}
}
