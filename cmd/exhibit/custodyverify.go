package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// hash reads the image of an acquisition as it lies in the case.
func (b *eventBuilder) hash(a *record.Acquired) ([]record.Digest, error) {
	dir, err := layout.ExhibitDir(b.number)
	if err != nil {
		return nil, err
	}
	folder, err := fs.Sub(b.c.FS(), path.Join(dir, a.Acquisition.ID))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range a.Acquisition.Files {
		if f.Role == record.RoleImage {
			names = append(names, f.Name)
		}
	}
	open := image.OpenRaw // whatever the medium begins with
	if a.Acquisition.Format == record.FormatE01 {
		open = image.OpenE01
	}
	r, err := open(folder, names)
	if err != nil {
		return nil, fmt.Errorf("the image of acquisition %s: %w", a.Acquisition.ID, e01Error(err))
	}
	p := newProgress(b.u)
	p.Phase("hashing", r.Size())
	digests, err := hashMedia(b.ctx, r, p)
	p.end()
	if err := errors.Join(err, r.Close()); err != nil {
		return nil, fmt.Errorf("the image of acquisition %s: %w", a.Acquisition.ID, err)
	}
	return slices.DeleteFunc(digests, func(d record.Digest) bool {
		return d.Algorithm() != record.BLAKE3 && d.Algorithm() != record.SHA256
	}), nil
}

// hashesAsAcquired stops an event that would take over an image which is not what was acquired. What refuses it, or notes it, is
// logged with the digests that were found.
func (b *eventBuilder) hashesAsAcquired(t record.Type, a *record.Acquired, found []record.Digest) error {
	for _, d := range a.Acquisition.Digests {
		i := slices.IndexFunc(found, func(f record.Digest) bool { return f.Algorithm() == d.Digest.Algorithm() })
		if i >= 0 && found[i] != d.Digest {
			text := fmt.Sprintf("the image of acquisition %s is not what was acquired: its digest is %s, recorded is %s", a.Acquisition.ID, found[i], d.Digest)
			say := "log what was found with: exhibit custody note --verify"
			switch t {
			case record.TypeRefused:
				return nil
			case record.TypeNoted:
				b.changed = text
				return nil
			case record.TypeAccepted:
				say = "log that you do not take it over with: exhibit custody refuse --verify"
			}
			return withHints(withCode(codeMismatch, errors.New(text)), "see what differs with: exhibit verify CASE", say)
		}
	}
	return nil
}

// sayChanged gives an event that was logged of a changed image verify's exit code: what it says is no good news.
func (b *eventBuilder) sayChanged() {
	if b.changed != "" {
		b.u.notef("the event is logged; %s", b.changed)
		b.u.code = codeMismatch
	}
}
