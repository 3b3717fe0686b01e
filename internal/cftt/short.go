//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/exhibit-forensics/exhibit/internal/faultdisk"
)

// changed flips one bit in the middle of an image file: verify must see it and say where.
func (b *bench) changed(o *outcome, a acquisition, name string) error {
	content, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	content[len(content)/2] ^= 1
	if err := errors.Join(os.Chmod(name, 0o600), os.WriteFile(name, content, 0o600)); err != nil {
		return err
	}
	said, err := b.verified(o, a.folder, 4)
	o.check(strings.Contains(said, filepath.Base(name)), "it names the file that was changed")
	return err
}

// acquireNoSpace has too little room, as the file system says, and then one that says otherwise until it is full.
func acquireNoSpace(b *bench) ([]outcome, error) {
	known := outcome{variant: "the file system says that there is too little", done: "exhibit acquire DEVICE, with the case on a file system of 20 MiB"}
	err := b.withDrive(512, nil, &known, func(d *faultdisk.Disk, _ []byte) (err error) {
		dir := filepath.Join(b.dir, "small")
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		if _, err := b.tool("mount", "-t", "tmpfs", "-o", "size=20m", "cftt", dir); err != nil {
			return err
		}
		defer func() {
			_, e := b.tool("umount", dir)
			err = errors.Join(err, e)
		}()
		if err := b.makeCase(filepath.Join(dir, "case")); err != nil {
			return err
		}
		a, err := b.acquire(filepath.Join(dir, "case"), d.Path())
		if err != nil {
			return err
		}
		known.exit("acquire", a.code, 1, a.said)
		known.check(strings.Contains(a.said, "not enough space"), "it says so")
		known.check(a.folder == "", "nothing was begun")
		return nil
	})
	if err != nil {
		return nil, err
	}
	full := outcome{variant: "the disk is full on the way", done: "exhibit acquire DEVICE, of 96 MiB, on a file system that takes 80 MiB and then answers ENOSPC; then room is made: exhibit acquire DEVICE --resume FOLDER"}
	d, want, err := drive(96*mib, 512)
	if err == nil {
		err = b.fullOnTheWay(&full, d, want)
		full.untouched(d)
		err = errors.Join(err, d.Close())
	}
	return []outcome{known, full}, err
}

// fullOnTheWay makes the disk slow, too, because nothing is kept of the first second and the first 32 MiB.
func (b *bench) fullOnTheWay(o *outcome, d *faultdisk.Disk, want []byte) (err error) {
	disk, err := faultdisk.Mount(faultdisk.DestinationOptions{Dir: b.dir})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, disk.Close()) }()
	dir := filepath.Join(disk.Path(), "case")
	if err := b.makeCase(dir); err != nil {
		return err
	}
	disk.Full(80 * mib)
	disk.Slow(20 * mib)
	a, err := b.acquire(dir, d.Path())
	if err != nil {
		return err
	}
	o.exit("acquire", a.code, 6, a.said)
	o.check(strings.Contains(a.said, "not enough space"), "it says so")
	o.check(strings.HasSuffix(a.folder, ".partial"), "what is there is called .partial")
	disk.Heal()
	said, code, err := b.exhibit("acquire", d.Path(), "--resume", a.folder, "--passphrase-file", b.passphrase())
	if err != nil {
		return err
	}
	o.exit("resume", code, 0, said)
	if a.folder, err = folderOf(dir, a.number); err != nil {
		return err
	}
	return b.same(o, a, want, "source")
}

func restoreNoSpace(b *bench) ([]outcome, error) {
	short := 5*mib + 512
	var out []outcome
	for _, v := range []struct {
		name string
		args []string
		code int
		says string
	}{{"smaller clone", nil, 1, "is smaller"}, {"smaller clone, allowed", []string{"--truncate"}, 3, "is too small"}} {
		o := outcome{variant: v.name, done: strings.TrimSpace("exhibit image restore FOLDER --to DEVICE " + strings.Join(v.args, " "))}
		err := b.withDrive(512, nil, &o, func(d *faultdisk.Disk, want []byte) error {
			a, err := b.acquire(b.caseDir, d.Path())
			if err != nil {
				return err
			}
			got, said, err := b.restored(&o, a.folder, len(want), -short, 512, v.code, v.args...)
			if err != nil {
				return err
			}
			o.check(strings.Contains(said, v.says), "it says that the target %s", v.says)
			if v.args == nil {
				o.check(bytes.Equal(got, bytes.Repeat([]byte{0xee}, len(want)-short)), "nothing was written")
			} else {
				o.check(bytes.Equal(got, want[:len(want)-short]), "every byte of the clone is that of the source")
			}
			return a.forget()
		})
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

// faulty reads drives with bad sectors, and restores what was read.
func faulty(b *bench) ([]outcome, error) {
	var out []outcome
	for _, v := range []struct {
		name   string
		sector int
		bad    []faultdisk.Range
		args   []string
	}{
		{"one sector", 512, []faultdisk.Range{{First: 12345, Count: 1}}, nil},
		{"first, last, and runs", 512, []faultdisk.Range{{First: 0, Count: 1}, {First: 4000, Count: 8}, {First: 9001, Count: 1}, {First: 9003, Count: 1}, {First: driveBytes/512 - 1, Count: 1}}, nil},
		{"sectors of 4096 bytes", 4096, []faultdisk.Range{{First: 7, Count: 2}, {First: 1001, Count: 1}}, nil},
		{"to an E01", 512, []faultdisk.Range{{First: 4000, Count: 8}, {First: 9001, Count: 1}}, []string{"--format", "e01"}},
	} {
		o := outcome{variant: v.name, done: strings.TrimSpace("exhibit acquire DEVICE "+strings.Join(v.args, " ")) + "; exhibit image restore FOLDER --to DEVICE"}
		if v.args != nil {
			o.skipped = lacks("ewfexport")
		}
		if o.skipped == "" {
			err := b.withDrive(v.sector, v.bad, &o, func(d *faultdisk.Disk, whole []byte) error {
				want := holed(whole, int64(v.sector), v.bad)
				a, err := b.acquire(b.caseDir, d.Path(), v.args...)
				if err != nil {
					return err
				}
				o.exit("acquire", a.code, 3, a.said)
				if err := b.same(&o, a, want, "source with zeros in the place of the faulty sectors"); err != nil {
					return err
				}
				got, err := unread(filepath.Join(a.folder, a.number+".map"), int64(v.sector))
				if err != nil {
					return err
				}
				o.check(slices.Equal(got, v.bad), "the map lists exactly the %s, so that no good sector is lost", sectors(v.bad))
				clone, _, err := b.restored(&o, a.folder, len(want), 0, v.sector, 0)
				o.check(bytes.Equal(clone, want), "clone = image")
				return errors.Join(err, a.forget())
			})
			if err != nil {
				return nil, err
			}
		}
		out = append(out, o)
	}
	return out, nil
}

func sectors(bad []faultdisk.Range) string {
	n := int64(0)
	for _, r := range bad {
		n += r.Count
	}
	if n == 1 {
		return "one faulty sector"
	}
	return fmt.Sprintf("%d faulty sectors in %d ranges", n, len(bad))
}
