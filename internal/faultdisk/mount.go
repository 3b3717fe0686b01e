//go:build linux

package faultdisk

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// guard takes a mount away when this process ends without doing so. A process that is killed while one of its own threads
// waits for its own mount would otherwise never end: the thread waits for an answer, and the connection for the thread.
// Such a process has no memory any longer, and umount -f, which aborts the connection, lets it go.
type guard struct{ cmd *exec.Cmd }

const watch = `while grep -qs '^VmSize' /proc/$0/status; do sleep 1; done
umount -f "$1"; umount -l "$1"; rmdir "$1"`

func guardMount(dir string) (*guard, error) {
	cmd := exec.Command("sh", "-c", watch, fmt.Sprint(os.Getpid()), dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // an interrupt from the terminal is not for it
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the guard of %q: %w", dir, err)
	}
	return &guard{cmd}, nil
}

func (g *guard) end() error {
	if g == nil {
		return nil
	}
	err := g.cmd.Process.Kill()
	if err == nil {
		_ = g.cmd.Wait() // it says that it was killed
	}
	return err
}

// unmount takes a FUSE mount away at once, whoever uses it, and waits until its server has ended.
func unmount(dir string, served <-chan struct{}, g *guard) error {
	err := g.end()
	if e := unix.Unmount(dir, unix.MNT_DETACH); e != nil {
		return errors.Join(err, fmt.Errorf("unmount %q: %w", dir, e))
	}
	select {
	case <-served:
		return err
	case <-time.After(10 * time.Second):
		return errors.Join(err, fmt.Errorf("the mount at %q does not end: somebody has a file in it open", dir))
	}
}
