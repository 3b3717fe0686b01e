package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/acquire/restore"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// acquiredImage is the image of an acquisition folder, as its record says. Nothing of it is verified.
type acquiredImage struct {
	dir    string // absolute, links followed
	root   *durable.Root
	record *record.Acquired
	media  restore.Image
	close  func() error
}

// openAcquired opens the folder that path names, or the folder of the image file that it names. No record, or a file of
// the image that is missing, is codeMissing.
func openAcquired(path string) (*acquiredImage, error) {
	dir, err := filepath.Abs(path)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		dir = filepath.Dir(dir)
	}
	root, err := durable.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	a := &acquiredImage{dir: dir, root: root}
	if err := a.load(); err != nil {
		if _, hinted := errors.AsType[*hintedError](err); !hinted && errors.Is(err, fs.ErrNotExist) {
			err = withHints(withCode(codeMissing, err), "name a sealed acquisition folder of a case, or an image file in one; see: exhibit verify "+shellWord(path))
		}
		return nil, errors.Join(err, root.Close())
	}
	return a, nil
}

func (a *acquiredImage) load() error {
	b, err := a.root.ReadFile(layout.Statement, layout.MaxEnvelope)
	if err != nil {
		return fmt.Errorf("%q has no record that can be read: %w", a.dir, err)
	}
	e, err := sign.ParseEnvelope(b)
	if err != nil {
		return err
	}
	p, err := record.Decode(e.Payload)
	if err != nil {
		return err
	}
	acquired, ok := p.(*record.Acquired)
	if !ok {
		return fmt.Errorf("%w: %q holds a statement of type %q", record.ErrMalformed, layout.Statement, p.Type())
	}
	var names []string
	for _, f := range acquired.Acquisition.Files {
		if f.Role == record.RoleImage {
			names = append(names, f.Name)
		}
	}
	open := image.OpenRaw // also of a raw image that begins as an E01 does: the record says which it is
	if acquired.Acquisition.Format == record.FormatE01 {
		open = image.OpenE01
	}
	r, err := open(a.root.FS(), names)
	if errors.Is(err, fs.ErrNotExist) && acquired.Acquisition.Format == record.FormatE01 {
		return withHints(withCode(codeMissing, err), hintsIncomplete(filepath.Join(a.dir, names[0]))...)
	}
	if err != nil {
		return e01Error(err)
	}
	a.record, a.media, a.close = acquired, r, r.Close
	return nil
}

// Close ends the reading.
func (a *acquiredImage) Close() error { return errors.Join(a.close(), a.root.Close()) }

// sector is the medium's logical sector, and whether the record knows it; 512 if not.
func (a *acquiredImage) sector() (int64, bool) {
	if n, ok := a.record.Acquisition.Medium.LogicalSectorBytes.Get(); ok && n > 0 {
		return n, true
	}
	return 512, false
}

// unread are the bytes of a part of the image that the medium did not give, as the map in the folder says.
func (a *acquiredImage) unread(part restore.Range) (u unreadDocument, err error) {
	if a.record.Acquisition.Unread.Bytes == 0 {
		return u, nil
	}
	for _, f := range a.record.Acquisition.Files {
		if f.Role != record.RoleMap {
			continue
		}
		b, err := a.root.ReadFile(f.Name, layout.MaxMap)
		if err != nil {
			return u, err
		}
		m, err := image.ParseMap(bytes.NewReader(b), image.MapLimits{SizeBytes: layout.MaxMap})
		if err != nil {
			return u, fmt.Errorf("%q: %w", f.Name, err)
		}
		for r := range m.Unread() {
			if n := min(r.End(), part.End()) - max(r.Offset, part.Offset); n > 0 {
				u.Bytes += n
				u.Ranges++
			}
		}
	}
	return u, nil
}
