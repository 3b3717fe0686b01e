package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/exhibit-forensics/exhibit/acquire"
	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/acquire/restore"
	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// openDevice opens the device to overwrite, refuses what must not be overwritten, and has it confirmed. It is held from
// here on, while the image is verified.
func (r *restoring) openDevice(ctx context.Context, opts restore.Options) error {
	name := r.o.to
	if name == "" {
		name = "serial:" + r.o.toSerial
	}
	device, err := medium.OpenTarget(name)
	if err != nil {
		return misused(err)
	}
	r.device = device
	for _, f := range r.image.record.Acquisition.Files {
		if err := device.CheckHolds(filepath.Join(r.image.dir, f.Name)); err != nil {
			return misused(err, "name another device: the image would destroy itself")
		}
	}
	drives, err := device.Drives()
	if err != nil {
		return err
	}
	media, err := r.sources()
	if err != nil {
		return err
	}
	if err := restore.CheckSources(drives, media); err != nil {
		return misused(err, "unplug it, and name the drive that is meant to be overwritten")
	}
	if r.plan, err = restore.NewPlan(r.image.media.Size(), device.Size(), opts); errors.Is(err, restore.ErrTooSmall) {
		return misused(fmt.Errorf("%q: %w; nothing was written", device.Path(), err), "name a larger device, or write as much as fits with --truncate")
	} else if err != nil {
		return err
	}
	about := device.Describe()
	r.describe(about, drives[0])
	return r.confirmed(ctx, about, drives[0])
}

// describe says what could surprise somebody who uses the copy.
func (r *restoring) describe(about record.Medium, id medium.Identity) {
	r.doc.Target.describe(about, id)
	for _, note := range r.device.Notes() {
		r.warn("%s", note)
	}
	has, known := r.image.sector()
	if gets := r.device.SectorBytes(); known && has != gets {
		r.doc.SectorsDiffer = true
		r.warn("the medium had sectors of %d bytes, and %q has sectors of %d: the bytes are the same, but what counts in sectors, such as a partition table, will not fit",
			has, r.device.Path(), gets)
	}
	if r.plan.Truncated > 0 {
		r.warn("%q is too small: the last %d bytes will not be written, as --truncate allows", r.device.Path(), r.plan.Truncated)
	}
}

// sources are the media that the case's records describe, those of acquisitions that are not finished among them, and
// that of this image.
func (r *restoring) sources() ([]record.Medium, error) {
	media := []record.Medium{r.image.record.Acquisition.Medium}
	dir := r.o.caseDir
	if dir == "" {
		dir = filepath.Dir(filepath.Dir(filepath.Dir(r.image.dir)))
		if _, err := os.Lstat(filepath.Join(dir, layout.CaseFile)); errors.Is(err, fs.ErrNotExist) {
			r.warn("the folder lies in no case, so the target was compared with the drive of this image alone, and not with others of its case (--case)")
			return media, nil
		}
	}
	c, err := custody.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("find the drives that must not be overwritten: %w", err)
	}
	defer c.Close() //nolint:errcheck // opened for reading
	err = c.EachEvent(func(e custody.Entry) {
		if a, ok := e.Predicate.(*record.Acquired); ok {
			media = append(media, a.Acquisition.Medium)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("find the drives that must not be overwritten: %w", err)
	}
	return r.unfinished(c, media)
}

// unfinished adds the media of folders that are not sealed yet: the drive of one that was interrupted is often still there.
func (r *restoring) unfinished(c *custody.Case, media []record.Medium) ([]record.Medium, error) {
	folders, err := fs.Glob(c.FS(), layout.ExhibitsDir+"/*/*"+layout.PartialSuffix)
	if err != nil {
		return nil, err
	}
	for _, name := range folders {
		root, err := durable.OpenRoot(filepath.Join(c.Dir(), filepath.FromSlash(name)))
		if err != nil {
			return nil, err
		}
		m, err := mediumOfPartial(root)
		if err != nil {
			r.warn("which drive %q was begun with cannot be told: %v", name, err)
		} else {
			media = append(media, m)
		}
		if err := root.Close(); err != nil {
			return nil, err
		}
	}
	return media, nil
}

func mediumOfPartial(root *durable.Root) (record.Medium, error) {
	state, err := acquire.ReadState(root)
	if err == nil {
		return state.Acquisition.Medium, nil
	}
	un, err2 := acquire.ReadUnsigned(root)
	if err2 == nil {
		return un.Acquisition.Medium, nil
	}
	return record.Medium{}, errors.Join(err, err2)
}

// confirmation is what must be typed to overwrite a device: its serial, or WWN, or where it has neither its name and size.
func confirmation(about record.Medium, id medium.Identity) string {
	for _, list := range [][]string{id.Serials, {id.USBSerial}, id.WWNs} {
		if len(list) > 0 && list[0] != "" {
			return list[0]
		}
	}
	return fmt.Sprintf("%s %d", strings.TrimPrefix(id.Path, "/dev/"), about.SizeBytes)
}

// confirmed requires a person, or a script's author, to have named the device a second time.
func (r *restoring) confirmed(ctx context.Context, about record.Medium, id medium.Identity) error {
	what := deviceText(about, r.device.Path(), id)
	if r.o.toSerial != "" {
		if id.Is("serial:"+r.o.toSerial) || r.o.toSerial == id.Asked {
			return nil
		}
		return misused(fmt.Errorf("the device has not the serial %q: %s", r.o.toSerial, what), "exhibit devices shows which device has which serial")
	}
	want, given := confirmation(about, id), r.o.confirm
	if given == "" {
		var err error
		r.u.notef("all that is on this device will be lost: %s", what)
		given, err = askLine(ctx, fmt.Sprintf("To overwrite it type %s", clean(want)))
		if errors.Is(err, errNoTerminal) {
			return misused(fmt.Errorf("overwriting a device must be confirmed, and there is no terminal to ask at: %s", what),
				"if this is surely the device to overwrite, add: --confirm "+shellWord(want))
		}
		if err != nil {
			return err
		}
	}
	if given = strings.TrimSpace(given); given != want && !slices.Contains(id.Serials, given) {
		return misused(fmt.Errorf("%.80q is not what confirms that this device may be overwritten: %s", given, what), "for this device it is: "+want)
	}
	return nil
}

var errNoTerminal = errors.New("there is no terminal")

// askLine asks at the terminal, with echo.
func askLine(ctx context.Context, prompt string) (string, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return "", errNoTerminal
	}
	if _, err := fmt.Fprintf(tty, "%s: ", prompt); err != nil {
		return "", errors.Join(err, tty.Close())
	}
	type answer struct {
		line string
		err  error
	}
	done := make(chan answer, 1)
	go func() {
		line, err := bufio.NewReader(io.LimitReader(tty, 1000)).ReadString('\n')
		done <- answer{line, err}
	}()
	select {
	case a := <-done:
		if err := errors.Join(a.err, tty.Close()); err != nil {
			return "", fmt.Errorf("read the answer: %w", err)
		}
		return a.line, nil
	case <-ctx.Done():
		return "", fmt.Errorf("asking what may be overwritten: %w", ctx.Err()) // the reading still has the terminal
	}
}
