//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/exhibit-forensics/exhibit/internal/faultdisk"
)

// A partition begins at 1 MiB, and behind it stands something else.
const (
	partStart = mib
	behind    = mib
)

// fileSystems are the variants of NIST that this machine can make.
var fileSystems = []struct {
	name, kind string // the kind is that of the MBR
	bytes      int
	mkfs       []string
}{
	{"FAT16", "6", 24 * mib, []string{"mkfs.fat", "-F", "16"}},
	{"FAT32", "c", 40 * mib, []string{"mkfs.fat", "-F", "32"}},
	{"exFAT", "7", 24 * mib, []string{"mkfs.exfat"}},
	{"ext2", "83", 24 * mib, []string{"mkfs.ext2", "-q", "-F"}},
	{"ext3", "83", 24 * mib, []string{"mkfs.ext3", "-q", "-F"}},
	{"ext4", "83", 24 * mib, []string{"mkfs.ext4", "-q", "-F"}},
	{"NTFS", "7", 24 * mib, []string{"mkfs.ntfs", "-q", "-Q", "-F"}},
}

// disk makes the content of a disk with one partition, whose unused places hold something too.
func (b *bench) disk(kind string, size int, mkfs []string) ([]byte, error) {
	content := make([]byte, partStart+size+behind)
	if _, err := (faultdisk.Pattern{SizeBytes: int64(len(content)), Seed: 3}).ReadAt(content, 0); err != nil {
		return nil, err
	}
	clear(content[:512])
	fs, disk := filepath.Join(b.dir, "fs"), filepath.Join(b.dir, "disk")
	defer os.Remove(fs)   //nolint:errcheck // the folder is removed at the end
	defer os.Remove(disk) //nolint:errcheck // the same
	if err := os.WriteFile(fs, content[partStart:partStart+size], 0o600); err != nil {
		return nil, err
	}
	if _, err := b.tool(mkfs[0], append(mkfs[1:len(mkfs):len(mkfs)], fs)...); err != nil {
		return nil, err
	}
	made, err := os.ReadFile(fs)
	if err != nil {
		return nil, err
	}
	copy(content[partStart:], made)
	if err := os.WriteFile(disk, content, 0o600); err != nil {
		return nil, err
	}
	table := fmt.Sprintf("label: dos\nstart=%d,size=%d,type=%s\n", partStart/512, size/512, kind)
	if _, err := b.tool("sh", "-c", fmt.Sprintf("printf '%s' | sfdisk -q --no-reread --no-tell-kernel %s", table, disk)); err != nil {
		return nil, err
	}
	return os.ReadFile(disk)
}

// partition makes the first partition of a loop device known. Not every kernel reads partition tables, nor is there always
// somebody who makes the node.
func (b *bench) partition(l loop, size int) (node string, err error) {
	if _, err := b.tool("addpart", l.dev, "1", fmt.Sprint(partStart/512), fmt.Sprint(size/512)); err != nil {
		return "", err
	}
	name := filepath.Base(l.dev)
	text, err := os.ReadFile(filepath.Join("/sys/block", name, name+"p1/dev"))
	if err != nil {
		return "", err
	}
	var major, minor uint32
	if _, err := fmt.Sscanf(string(text), "%d:%d", &major, &minor); err != nil {
		return "", err
	}
	node = filepath.Join(b.dir, name+"p1")
	return node, unix.Mknod(node, unix.S_IFBLK|0o600, int(unix.Mkdev(major, minor)))
}

func (b *bench) unpartition(l loop, node string) error {
	_, err := b.tool("delpart", l.dev, "1")
	return errors.Join(os.Remove(node), err)
}

// withPartition lends a device with one partition and its node.
func (b *bench) withPartition(content []byte, size int, use func(l loop, node string) error) (err error) {
	l, err := b.attach(content, 0, 512)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.detach(l)) }()
	node, err := b.partition(l, size)
	if err != nil {
		return err
	}
	return errors.Join(use(l, node), b.unpartition(l, node))
}

// eachPartition runs a variant for each file system.
func (b *bench) eachPartition(done string, use func(o *outcome, a acquisition, content, part []byte) error) ([]outcome, error) {
	var out []outcome
	for _, f := range fileSystems {
		o := outcome{variant: f.name, done: done}
		if o.skipped = lacks(f.mkfs[0], "addpart", "sfdisk"); o.skipped == "" {
			content, err := b.disk(f.kind, f.bytes, f.mkfs)
			if err != nil {
				return nil, err
			}
			part := content[partStart : partStart+f.bytes]
			err = b.withPartition(content, f.bytes, func(l loop, node string) error {
				a, err := b.acquire(b.caseDir, node)
				if err != nil {
					return err
				}
				o.exit("acquire", a.code, 0, a.said)
				if err := use(&o, a, content, part); err != nil {
					return err
				}
				now, err := l.content()
				o.check(bytes.Equal(now, content), "the source is unchanged")
				return errors.Join(err, a.forget())
			})
			if err != nil {
				return nil, fmt.Errorf("%s: %w", f.name, err)
			}
		}
		out = append(out, o)
	}
	return out, nil
}

func acquirePartitions(b *bench) ([]outcome, error) {
	return b.eachPartition("exhibit acquire PARTITION", func(o *outcome, a acquisition, _, part []byte) error {
		if err := b.same(o, a, part, "source"); err != nil {
			return err
		}
		_, err := b.verified(o, a.folder, 0)
		return err
	})
}

func restorePartitions(b *bench) ([]outcome, error) {
	return b.eachPartition("exhibit image restore FOLDER --to PARTITION, one of the same size on another disk", func(o *outcome, a acquisition, content, part []byte) error {
		return b.withPartition(bytes.Repeat([]byte{0xee}, len(content)), len(part), func(l loop, node string) error {
			said, code, err := b.exhibit("image", "restore", a.folder, "--to", node, "--confirm", fmt.Sprintf("%s %d", filepath.Base(l.dev), len(part)))
			if err != nil {
				return err
			}
			o.exit("restore", code, 0, said)
			got, err := l.content()
			if err != nil {
				return err
			}
			o.check(bytes.Equal(got[partStart:partStart+len(part)], part), "clone = source, all %d bytes", len(part))
			around := append(bytes.Clone(got[:partStart]), got[partStart+len(part):]...)
			o.check(bytes.Equal(around, bytes.Repeat([]byte{0xee}, len(around))), "nothing around the partition was written")
			return nil
		})
	})
}

// withCard lends a device as cards come: one partition with FAT32.
func (b *bench) withCard(o *outcome, use func(a acquisition, want []byte) error) (err error) {
	if o.skipped = lacks("mkfs.fat", "sfdisk"); o.skipped != "" {
		return nil
	}
	content, err := b.disk("c", 40*mib, []string{"mkfs.fat", "-F", "32"})
	if err != nil {
		return err
	}
	l, err := b.attach(content, 0, 512)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.detach(l)) }()
	a, err := b.acquire(b.caseDir, l.dev)
	if err != nil {
		return err
	}
	o.exit("acquire", a.code, 0, a.said)
	if err := use(a, content); err != nil {
		return err
	}
	now, err := l.content()
	o.check(bytes.Equal(now, content), "the source is unchanged")
	return errors.Join(err, a.forget())
}

func acquireCard(b *bench) ([]outcome, error) {
	o := outcome{variant: "one partition with FAT32", done: "exhibit acquire DEVICE"}
	err := b.withCard(&o, func(a acquisition, want []byte) error {
		o.check(!strings.Contains(a.said, "error"), "no error was said")
		return b.same(&o, a, want, "source")
	})
	return []outcome{o}, err
}

func restoreCard(b *bench) ([]outcome, error) {
	o := outcome{variant: "one partition with FAT32", done: "exhibit image restore FOLDER --to DEVICE"}
	err := b.withCard(&o, func(a acquisition, want []byte) error {
		got, _, err := b.restored(&o, a.folder, len(want), 0, 512, 0)
		o.check(bytes.Equal(got, want), "clone = source, all %d bytes", len(want))
		return err
	})
	return []outcome{o}, err
}
