//go:build linux

package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

//go:embed guest.sh
var guest []byte

// prepare looks for the programs, so that a missing one is named before anything is fetched.
func (b *bench) prepare(context.Context) error {
	for _, name := range []string{"qemu-system-x86_64", "busybox", "cpio", "gzip", "dpkg-deb", "apt-get", "apt-cache", "dmsetup", "blockdev", "ldd", "swtpm"} {
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Errorf("%w (docs/tested-media.md lists the packages)", err)
		}
	}
	return errors.Join(os.RemoveAll(b.results), os.MkdirAll(b.results, 0o755))
}

func (b *bench) sh(ctx context.Context, script string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "sh", append([]string{"-euc", script, "sh"}, args...)...)
	cmd.Dir = b.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", script, err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// kernel fetches and unpacks Debian's kernel for amd64, once. The one for clouds lacks AHCI, NVMe, USB and 9p.
func (b *bench) kernel(ctx context.Context) error {
	b.modules = filepath.Join(b.dir, "kernel")
	if _, err := os.Stat(b.modules); errors.Is(err, os.ErrNotExist) {
		fmt.Fprintln(os.Stderr, "fetching a kernel")
		if _, err := b.sh(ctx, `rm -f linux-image-*.deb
			apt-get download -qq "$(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: //p' | head -n 1)"
			rm -rf kernel.tmp; dpkg-deb -x linux-image-*.deb kernel.tmp; mv kernel.tmp kernel; rm linux-image-*.deb`); err != nil {
			return err
		}
	}
	found, err := filepath.Glob(filepath.Join(b.modules, "boot", "vmlinuz-*"))
	if err != nil || len(found) != 1 {
		return fmt.Errorf("%d kernels in %q: %w", len(found), b.modules, err)
	}
	b.vmlinuz = found[0]
	return nil
}

// of the kernel's modules, those that the media and the way to the host need.
const moduleFolders = "kernel/drivers/ata kernel/drivers/scsi kernel/drivers/nvme kernel/drivers/usb kernel/drivers/md kernel/drivers/virtio " +
	"kernel/fs/9p kernel/fs/netfs kernel/fs/fscache kernel/net/9p kernel/lib kernel/crypto kernel/block kernel/arch/x86/crypto kernel/drivers/char kernel/drivers/hid"

var sharedLibrary = regexp.MustCompile(`(?m)(/\S+) \(0x`)

// initramfs packs busybox, exhibit, dmsetup and the modules.
func (b *bench) initramfs(ctx context.Context) error {
	root := filepath.Join(b.dir, "root")
	b.initrd = filepath.Join(b.dir, "initrd.gz")
	if err := errors.Join(os.RemoveAll(root), os.MkdirAll(filepath.Join(root, "bin"), 0o755)); err != nil {
		return err
	}
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", filepath.Join(root, "bin", "exhibit"), "./cmd/exhibit")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build exhibit: %w: %s", err, out)
	}
	if err := os.WriteFile(filepath.Join(root, "init"), guest, 0o755); err != nil {
		return err
	}
	if _, err := b.sh(ctx, `cp "$(command -v busybox)" "$1/bin/busybox"
		mkdir -p "$1/sbin"
		v=$(basename kernel/lib/modules/*)
		mkdir -p "$1/lib/modules/$v"
		for f in $2; do
			[ ! -d "kernel/lib/modules/$v/$f" ] || (cd "kernel/lib/modules/$v" && find "$f" -name '*.ko*' | cpio -pdm --quiet "$1/lib/modules/$v")
		done
		cp kernel/lib/modules/"$v"/modules.* "$1/lib/modules/$v/"
		busybox depmod -b "$1" "$v"
		cp "$(command -v dmsetup)" "$(command -v blockdev)" "$1/sbin/"`, root, moduleFolders); err != nil {
		return err
	}
	for _, program := range []string{"dmsetup", "blockdev"} {
		libs, err := b.sh(ctx, `ldd "$(command -v "$1")"`, program)
		if err != nil {
			return err
		}
		for _, lib := range sharedLibrary.FindAllStringSubmatch(libs, -1) {
			if _, err := b.sh(ctx, `mkdir -p "$1$(dirname "$2")"; cp -L "$2" "$1$2"`, root, lib[1]); err != nil {
				return err
			}
		}
	}
	_, err := b.sh(ctx, `cd "$1"; find . | cpio -o -H newc --quiet | gzip -1 > "$2"`, root, b.initrd)
	return err
}
