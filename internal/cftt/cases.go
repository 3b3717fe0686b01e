//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/exhibit-forensics/exhibit/internal/faultdisk"
)

// testCase is one of NIST's cases. A nil run is a case that is not supported.
type testCase struct {
	id, title string
	run       func(b *bench) ([]outcome, error)
	not       string // what of it was not done, and why
}

const (
	mib = 1 << 20
	// driveBytes is odd in MiB, so that a last block is not a whole one.
	driveBytes = 12*mib + 7*4096

	buses   = "ATA28, ATA48, SATA28, SATA48, USB, FW, SAS, SCSI: need hardware, a loop device stands in for all of them. `make vmbench` (docs/tested-media.md) has real drivers of SCSI, ATA, NVMe and USB in a virtual machine"
	cards   = "CF, SD: need a reader and cards; a loop device with a card's partition table and file system stands in"
	cloning = "Exhibit does not write to a device while it acquires: a clone is restored from an image that was verified (FT-DI-%s)"
	mac     = "OSX, OSXJ, OSXC, OSXCJ: need a program that makes HFS+ file systems on this machine"
)

var cases = []testCase{
	{"FT-DI-01", "Acquire a drive to an image file", acquireDrive, buses},
	{"FT-DI-02", "Restore an image file of a drive to a destination clone", restoreDrive, buses},
	{"FT-DI-03", "Acquire a removable media device to an image file", acquireCard, cards},
	{"FT-DI-04", "Restore an image file of removable media to a destination clone", restoreCard, cards},
	{"FT-DI-05", "Acquire a partition to an image file", acquirePartitions, mac},
	{"FT-DI-06", "Restore an image file of a partition to a destination clone", restorePartitions, mac},
	{"FT-DI-07", "Acquire a drive to a destination clone", nil, fmt.Sprintf(cloning, "01, then FT-DI-02")},
	{"FT-DI-08", "Acquire a removable media device to a destination clone", nil, fmt.Sprintf(cloning, "03, then FT-DI-04")},
	{"FT-DI-09", "Acquire a partition to a destination clone", nil, fmt.Sprintf(cloning, "05, then FT-DI-06")},
	{"FT-DI-10", "Acquire a drive to an image file without enough space", acquireNoSpace, ""},
	{"FT-DI-11", "Restore an image file to a destination clone without enough space", restoreNoSpace, ""},
	{"FT-DI-12", "Acquire a drive to a destination clone without enough space", nil, fmt.Sprintf(cloning, "01, then FT-DI-11")},
	{"FT-DI-13", "Compute the hash value of the acquired data within an image file", hashImage, "`image hash` computes BLAKE3 and SHA-256; MD5, SHA-1 and SHA-512 are computed when the image is made, and anew by `verify`"},
	{"FT-DI-14", "Compute the hash value of a drive", hashDrive, "there is no command that only hashes a drive: its digests come with an image of it"},
	{"FT-DI-15", "Acquire a drive with faulty sectors to a destination clone", faulty, "faulty sectors made by hdparm on a real drive: need hardware; a FUSE device that answers with EIO stands in. " + fmt.Sprintf(cloning, "01 and FT-DI-02")},
}

// formats are the images that a drive is acquired to.
var formats = []struct {
	name   string
	sector int
	args   []string
	needs  []string
}{
	{"raw", 512, nil, nil},
	{"raw in segments of 5 MiB", 512, []string{"--split", "5M"}, nil},
	{"raw, sectors of 4096 bytes", 4096, nil, nil},
	{"E01", 512, []string{"--format", "e01"}, []string{"ewfexport"}},
	{"E01 in segments of 2 MiB, uncompressed", 512, []string{"--format", "e01", "--compression", "none", "--split", "2M"}, []string{"ewfexport"}},
	{"E01, sectors of 4096 bytes", 4096, []string{"--format", "e01"}, []string{"ewfexport"}},
}

func acquireDrive(b *bench) ([]outcome, error) {
	var out []outcome
	for _, f := range formats {
		o := outcome{variant: f.name, done: "exhibit acquire DEVICE --hash md5,sha1,sha512 " + strings.Join(f.args, " ")}
		if o.skipped = lacks(f.needs...); o.skipped == "" {
			err := b.withDrive(f.sector, nil, &o, func(d *faultdisk.Disk, want []byte) error {
				a, err := b.acquire(b.caseDir, d.Path(), append([]string{"--hash", "md5,sha1,sha512"}, f.args...)...)
				if err != nil {
					return err
				}
				o.exit("acquire", a.code, 0, a.said)
				o.digests("acquire", a.said, want, "md5", "sha1", "sha256", "sha512", "blake3")
				if err := b.same(&o, a, want, "source"); err != nil {
					return err
				}
				_, err = b.verified(&o, a.folder, 0)
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

// withDrive lends a drive, and checks that it was not written to.
func (b *bench) withDrive(sector int, bad []faultdisk.Range, o *outcome, use func(d *faultdisk.Disk, want []byte) error) (err error) {
	d, want, err := drive(driveBytes, sector, bad...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	err = use(d, want)
	o.untouched(d)
	return err
}

// restored restores an acquisition to a device of the image's bytes and more ones, and returns what stands on it then, and what
// was said.
func (b *bench) restored(o *outcome, folder string, size, more, sector, code int, args ...string) (got []byte, said string, err error) {
	l, err := b.attach(nil, size+more, sector)
	if err != nil {
		return nil, "", err
	}
	defer func() { err = errors.Join(err, b.detach(l)) }()
	said, exit, err := b.exhibit(append([]string{"image", "restore", folder, "--to", l.dev, "--confirm", fmt.Sprintf("%s %d", filepath.Base(l.dev), size+more)}, args...)...)
	if err != nil {
		return nil, "", err
	}
	o.exit("restore", exit, code, said)
	got, err = l.content()
	return got, said, err
}

func restoreDrive(b *bench) ([]outcome, error) {
	excess := 3 * mib
	var out []outcome
	for _, v := range []struct {
		name string
		more int
		args []string
		fill byte
		e01  bool
	}{
		{name: "clone of the same size"}, {name: "larger clone, excess left as it is", more: excess, fill: 0xee},
		{name: "larger clone, excess filled", more: excess, args: []string{"--fill-excess"}}, {name: "clone of the same size, from an E01", e01: true},
	} {
		o := outcome{variant: v.name, done: strings.TrimSpace("exhibit image restore FOLDER --to DEVICE " + strings.Join(v.args, " "))}
		err := b.withDrive(512, nil, &o, func(d *faultdisk.Disk, want []byte) error {
			var format []string
			if v.e01 {
				format = []string{"--format", "e01"}
			}
			a, err := b.acquire(b.caseDir, d.Path(), format...)
			if err != nil {
				return err
			}
			got, _, err := b.restored(&o, a.folder, len(want), v.more, 512, 0, v.args...)
			if err != nil {
				return err
			}
			o.check(bytes.HasPrefix(got, want), "clone = source, all %d bytes", len(want))
			if v.more > 0 {
				o.check(bytes.Equal(got[len(want):], bytes.Repeat([]byte{v.fill}, v.more)), "the %d bytes behind are all %02x", v.more, v.fill)
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

// hashImage computes the digests of the data in images, of others than ours too.
func hashImage(b *bench) ([]outcome, error) {
	var out []outcome
	for _, f := range formats {
		o := outcome{variant: f.name, done: "exhibit image hash IMAGE; exhibit verify FOLDER; again with one bit of the image changed"}
		if o.skipped = lacks(f.needs...); o.skipped == "" {
			err := b.withDrive(f.sector, nil, &o, func(d *faultdisk.Disk, want []byte) error {
				a, err := b.acquire(b.caseDir, d.Path(), append([]string{"--hash", "md5,sha1,sha512"}, f.args...)...)
				if err != nil {
					return err
				}
				names, err := a.images()
				if err != nil {
					return err
				}
				said, code, err := b.exhibit("image", "hash", names[0])
				if err != nil {
					return err
				}
				o.exit("image hash", code, 0, said)
				o.digests("image hash", said, want, "sha256", "blake3")
				o.digests("acquire", a.said, want, "md5", "sha1", "sha512")
				if _, err := b.verified(&o, a.folder, 0); err != nil {
					return err
				}
				return errors.Join(b.changed(&o, a, names[0]), a.forget())
			})
			if err != nil {
				return nil, err
			}
		}
		out = append(out, o)
	}
	return out, nil
}

// hashDrive takes the digests of a drive from acquiring it.
func hashDrive(b *bench) ([]outcome, error) {
	var out []outcome
	for _, sector := range []int{512, 4096} {
		o := outcome{variant: fmt.Sprintf("sectors of %d bytes", sector), done: "exhibit acquire DEVICE --hash md5,sha1,sha512"}
		err := b.withDrive(sector, nil, &o, func(d *faultdisk.Disk, want []byte) error {
			a, err := b.acquire(b.caseDir, d.Path(), "--hash", "md5,sha1,sha512")
			if err != nil {
				return err
			}
			o.exit("acquire", a.code, 0, a.said)
			o.digests("acquire", a.said, want, "md5", "sha1", "sha256", "sha512", "blake3")
			return a.forget()
		})
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}
