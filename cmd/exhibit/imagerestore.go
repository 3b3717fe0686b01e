package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/acquire/restore"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
	"github.com/exhibit-forensics/exhibit/verify"
)

type restoreOptions struct {
	to, toSerial, confirm, caseDir, trust, sectors, despite string
	atStart, fillExcess, truncate                           bool
}

func newImageRestoreCommand(u *ui) *cobra.Command {
	var o restoreOptions
	return newCommand(command{
		use: "restore PATH", short: "Write an image back to a block device, or to a file",
		long: "Write an image back to a block device, or to a new file, and read it back. PATH is a sealed acquisition folder, or an\n" +
			"image file in one. The image is verified first: if it is not what its record says, nothing is written. What was on\n" +
			"the device is lost, so it is named twice: by its path (--to) and by its serial number, either with --to-serial, or\n" +
			"typed when it is asked for, or with --confirm. A device that is in use, that is read-only, that the running system\n" +
			"lies on, or that has the serial or WWN of a drive that the case's records describe, is refused.\n\n" +
			"Bytes go to the place that they have in the image. What the target has behind it is left as it is, unless\n" +
			"--fill-excess. Places that the medium did not give are zeros in the image, and so on the target. A place that the\n" +
			"target does not take is named to the sector, and the rest goes on. A restore that was interrupted leaves the target\n" +
			"overwritten in part, and is begun anew. The log gets no event of a restore: to make the copy part of the chain of\n" +
			"custody, log it as a copy.\n\n" +
			"Exit 3 when --truncate left some of the image out; 5 when all was restored from an image that is what its record\n" +
			"says, and nothing says that the record can be trusted; 4 also when the target does not read back as it was written.",
		example: "  sudo exhibit image restore exhibits/7/20261123T081500Z-1a2b3c4d --to /dev/sdc --to-serial WD-EXAMPLE1\n" +
			"  exhibit image restore exhibits/7/20261123T081500Z-1a2b3c4d --to part.raw --sectors 2048-206847",
		args:  cobra.ExactArgs(1),
		codes: []int{codeUnread, codeMismatch, codeMissing, codeInterrupted},
		flags: o.register,
		run: func(cmd *cobra.Command, args []string) error {
			for _, name := range []string{"to", "to-serial", "confirm", "case", "trust", "sectors", "despite"} {
				// An empty variable in a script must not mean another device, other trust, or all of the image.
				if f := cmd.Flags().Lookup(name); f.Changed && f.Value.String() == "" {
					return misused(fmt.Errorf("--%s is empty", name), "give it a value, or leave it out")
				}
			}
			return runImageRestore(cmd.Context(), u, args[0], &o)
		},
	})
}

func (o *restoreOptions) register(f *pflag.FlagSet) {
	f.StringVar(&o.to, "to", "", "write to this block device (its path, serial:NUMBER or wwn:NUMBER), or to this new `FILE`")
	f.StringVar(&o.toSerial, "to-serial", "", "the serial `NUMBER` of the device to overwrite; without --to it also says which device")
	f.StringVar(&o.confirm, "confirm", "", "overwrite without asking: `TEXT` is what would have to be typed, the serial, or of a device without one name and size")
	f.StringVar(&o.caseDir, "case", "", "the case `FOLDER` whose drives are refused (default: that in which PATH lies)")
	f.StringVar(&o.trust, "trust", "", "use this trust `FILE` in place of the station's own")
	f.StringVar(&o.sectors, "sectors", "", "only these sectors of the image, `FIRST-LAST`, counted from 0 in the sectors of its medium")
	f.StringVar(&o.despite, "despite", "", despiteUsage)
	f.BoolVar(&o.atStart, "at-start", false, "with --sectors: write them from the target's first byte on, not to the place that they have in the image")
	f.BoolVar(&o.fillExcess, "fill-excess", false, "write zeros behind the image, to the end of the device")
	f.BoolVar(&o.truncate, "truncate", false, "write as much as fits on a target that is too small; exit code 3")
}

// restoring is one restore.
type restoring struct {
	u        *ui
	o        *restoreOptions
	path     string
	image    *acquiredImage
	plan     restore.Plan
	device   *medium.Target // or nil: a file
	verified int            // the exit code of the verification, 0 or 5
	doc      restoreDocument
}

func runImageRestore(ctx context.Context, u *ui, path string, o *restoreOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	trust, err := readTrust(o.trust)
	if err != nil {
		return err
	}
	img, err := openAcquired(path)
	if err != nil {
		return err
	}
	r := &restoring{u: u, o: o, path: path, image: img}
	if err = mayGiveOut(u, img.dir, img.record.Event.Exhibit, o.caseDir, o.despite); err == nil {
		err = r.run(ctx, trust)
	}
	if r.device != nil {
		err = errors.Join(err, r.device.Close())
	}
	return errors.Join(err, img.Close())
}

// check refuses what does not go together.
func (o *restoreOptions) check() error {
	switch {
	case o.to == "" && o.toSerial == "":
		return misused(errors.New("--to does not say where to"), "exhibit devices lists the devices and their serial numbers")
	case o.toSerial != "" && o.confirm != "":
		return misused(errors.New("--to-serial and --confirm exclude each other"), "one of them is enough")
	case o.atStart && o.sectors == "":
		return misused(errors.New("--at-start is for --sectors"), "a whole image begins at the start in any case")
	case o.fillExcess && o.sectors != "":
		return misused(errors.New("--fill-excess and --sectors exclude each other: of a part nobody can say what is excess"))
	}
	return nil
}

// run does everything that can be refused before the image is read for hours, and only then verifies and writes.
func (r *restoring) run(ctx context.Context, trust []verify.TrustEntry) error {
	opts, err := r.o.options(r.image)
	if err != nil {
		return err
	}
	if r.toFile() {
		err = r.planFile(opts)
	} else {
		err = r.openDevice(ctx, opts)
	}
	if err != nil {
		return err
	}
	if err := r.verify(ctx, trust); err != nil {
		return err
	}
	if r.device != nil {
		return r.write(ctx, r.device, r.device.Path(), nil)
	}
	f, err := restore.CreateFile(r.o.to, r.plan.Part.SizeBytes)
	if err != nil {
		return err
	}
	err = r.write(ctx, f, f.Path(), f)
	return errors.Join(err, f.Close())
}

// options turns the flags into bytes. A last sector that the image has only a part of is that part.
func (o *restoreOptions) options(a *acquiredImage) (restore.Options, error) {
	opts := restore.Options{AtStart: o.atStart, FillExcess: o.fillExcess, Truncate: o.truncate}
	if o.sectors == "" {
		return opts, nil
	}
	bytes, size := int64(512), a.media.Size()
	if n, ok := a.sector(); ok {
		bytes = n
	}
	from, to, ok := strings.Cut(o.sectors, "-")
	first, err1 := strconv.ParseInt(from, 10, 64)
	last, err2 := strconv.ParseInt(to, 10, 64)
	if !ok || err1 != nil || err2 != nil || first < 0 || last < first {
		return opts, misused(fmt.Errorf("--sectors %.60q is no range of sectors", o.sectors), "write it as 2048-206847: the first and the last sector, counted from 0")
	}
	if last >= math.MaxInt64/bytes-1 || last*bytes >= size {
		return opts, misused(fmt.Errorf("--sectors %s: the image has %d sectors of %d bytes, the last of them is %d", o.sectors, (size+bytes-1)/bytes, bytes, (size+bytes-1)/bytes-1))
	}
	opts.Part = restore.Range{Offset: first * bytes, SizeBytes: min((last+1)*bytes, size) - first*bytes}
	return opts, nil
}

// toFile tells a new file from a device. A name in /dev that is not there is a device that is not there, and so is a serial
// or WWN that no disk has; a file of that name is ./serial:...
func (r *restoring) toFile() bool {
	if r.o.to == "" || strings.HasPrefix(r.o.to, "serial:") || strings.HasPrefix(r.o.to, "wwn:") {
		return false
	}
	info, err := os.Stat(r.o.to)
	if err != nil {
		return !strings.HasPrefix(filepath.Clean(r.o.to), "/dev/")
	}
	return info.Mode().IsRegular() || info.IsDir()
}

func (r *restoring) planFile(opts restore.Options) error {
	if r.o.toSerial != "" || r.o.confirm != "" || r.o.fillExcess || r.o.truncate {
		return misused(fmt.Errorf("%q is no device: --to-serial, --confirm, --fill-excess and --truncate are for devices", r.o.to))
	}
	if _, err := os.Lstat(r.o.to); err == nil {
		return misused(fmt.Errorf("%q is there already: %w", r.o.to, fs.ErrExist), "name a new file; what exists is never overwritten")
	}
	left := r.o.to + layout.PartialSuffix
	if _, err := os.Lstat(left); err == nil {
		return misused(fmt.Errorf("%q is there already: %w", left, fs.ErrExist), "it is what a restore that was stopped left, and no copy of the image: remove it and restore again, or name another file")
	}
	opts.AtStart = true
	bytes := r.image.media.Size()
	if opts.Part.SizeBytes > 0 {
		bytes = opts.Part.SizeBytes
	}
	plan, err := restore.NewPlan(r.image.media.Size(), bytes, opts)
	r.plan = plan
	return err
}

// verify requires every byte of the image to be what the record says. That the record itself is not proven to be whose it
// claims to be does not keep it from being restored; it is said, and is the exit code.
func (r *restoring) verify(ctx context.Context, trust []verify.TrustEntry) error {
	report, err := verifyPath(ctx, r.u, r.path, trust)
	if err != nil {
		return err
	}
	see := "see: exhibit verify " + shellWord(r.path)
	r.verified = report.ExitCode()
	if r.verified == codeMismatch {
		r.findings(report.Lines, verify.Mismatch)
		return withHints(withCode(codeMismatch, fmt.Errorf("%q does not match its record, so nothing was written", r.path)), see)
	}
	one := len(report.Acquisitions) == 1 && (report.Kind == verify.KindAcquisition || report.Kind == verify.KindImage)
	if !one || len(report.Lines) == 0 || report.Lines[0].Status != verify.Verified || report.Acquisitions[0].SizeBytes != r.plan.Image {
		r.findings(report.Lines[:min(1, len(report.Lines))], verify.Missing)
		return withHints(withCode(codeMissing, fmt.Errorf("that the bytes of %q are those that were acquired could not be checked, so nothing was written", r.path)), see)
	}
	if r.verified != codeDone {
		r.warn("the image is what its record says, and something that proves the record is missing or not trusted: exhibit verify says what")
	}
	for _, d := range report.Acquisitions[0].Digests {
		r.doc.want = append(r.doc.want, d.Digest)
	}
	return nil
}

func (r *restoring) findings(lines []verify.Line, severity verify.Severity) {
	for _, l := range lines {
		for _, f := range l.Findings {
			if f.Severity == severity {
				r.u.notef("%s", clean(f.String()))
			}
		}
	}
}

func (r *restoring) warn(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	r.doc.Warnings = append(r.doc.Warnings, clean(text))
	r.u.notef("warning: %s", clean(text))
}

// write does the work. file is the target if it is one.
func (r *restoring) write(ctx context.Context, to restore.Target, name string, file *restore.File) error {
	unread, err := r.image.unread(r.plan.Part)
	if err != nil {
		return err
	}
	p := newProgress(r.u)
	result, err := restore.Run(ctx, r.image.media, to, r.plan, r.doc.want, p)
	p.end()
	if err != nil {
		r.list("not written", result.Unwritten)
		r.list("not read back as it was written", result.Differing)
		if errors.Is(err, restore.ErrImageChanged) {
			err = withCode(codeMismatch, err)
		}
		if file != nil {
			return withHints(fmt.Errorf("%q holds a part, and is no copy of the image: %w", name, err), "to restore, remove it and begin anew with the same command")
		}
		return withHints(fmt.Errorf("%q is overwritten in part, and no copy of the image: %w", name, err), "to restore, begin anew with the same command")
	}
	readBack := "direct"
	if file != nil {
		readBack = "cached"
		if file.Evicted() {
			readBack = "evicted"
		}
		if result.Written() {
			if err := file.Finish(); err != nil {
				return err
			}
			name = r.o.to
		}
	}
	r.fill(result, name, unread, readBack, file == nil)
	return r.u.result(r.doc, r.print)
}

// deviceText describes a device to the person who is about to lose what is on it.
func deviceText(d record.Medium, path string, id medium.Identity) string {
	parts := []string{path, size(d.SizeBytes)}
	if h, ok := d.Hardware.Get(); ok {
		if model, ok := h.Model.Get(); ok {
			parts = append(parts, "model "+model)
		}
	}
	for _, s := range id.Serials {
		parts = append(parts, "serial "+s)
	}
	return clean(strings.Join(parts, ", "))
}
