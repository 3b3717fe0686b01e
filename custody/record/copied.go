package record

import (
	"fmt"
	"slices"
)

// Copied is the record of a copy of an image, perhaps in another format, and the event of that name.
type Copied struct {
	Circumstances CopyCircumstances `json:"circumstances"`
	Copy          Copy              `json:"copy"`
	Event         Header            `json:"event"`
}

// CopyCircumstances are what the person and the command line say of a copy; all of it is personal.
type CopyCircumstances struct {
	CommandLine Personal       `json:"commandLine"`
	Examiner    Fact[Personal] `json:"examiner"`
	Host        Fact[Personal] `json:"host"` // the station's name
	SourcePath  Personal       `json:"sourcePath"`
}

// Copy is one act of writing the media stream of an image into another one. It names no person.
type Copy struct {
	Destination Destination   `json:"destination"`
	Digests     []MediaDigest `json:"digests"` // of the media stream, computed from the image that was read; those of the original, perhaps more
	Ended       Time          `json:"ended"`
	Files       []File        `json:"files"` // every file of the folder that this record binds, image segments first and in order
	Format      string        `json:"format"`
	Host        Host          `json:"host"`
	ID          string        `json:"id"` // of the copy: its folder's name
	Options     CopyOptions   `json:"options"`
	Original    Reference     `json:"original"` // the record of the acquisition
	Reread      Reread        `json:"reread"`   // always done
	SizeBytes   int64         `json:"sizeBytes"`
	Source      Reference     `json:"source"` // the record of the image that was read: the original, or a copy of it
	Started     Time          `json:"started"`
	TakenOver   []TakenOver   `json:"takenOver,omitempty"` // as the original has it: absent or one
	Tool        Tool          `json:"tool"`
	Unread      Unread        `json:"unread"` // as the original has it
}

// CopyOptions are the choices that shaped the copy.
type CopyOptions struct {
	Compression  string `json:"compression"`
	SegmentBytes int64  `json:"segmentBytes"` // 0: one file
}

// Reference names a record of the same exhibit in the same log.
type Reference struct {
	ID   string   `json:"id"` // of the acquisition or copy
	Leaf LeafHash `json:"leaf"`
}

// Type implements Predicate.
func (c *Copied) Type() Type { return TypeCopied }

// Header implements Event.
func (c *Copied) Header() *Header { return &c.Event }

func (c *Copied) subjects() []subject {
	i := c.Copy.Image()
	return i.subjects()
}

// Validate implements Predicate.
func (c *Copied) Validate() error {
	if err := c.Event.Validate(); err != nil {
		return err
	}
	return c.Copy.Validate()
}

// Image is what the record says of its image.
func (c *Copy) Image() Image {
	return Image{c.ID, c.Format, c.SizeBytes, c.Digests, c.Files, c.Unread, c.TakenOver}
}

// Validate reports the first thing wrong with c, wrapping ErrMalformed or ErrNewer.
func (c *Copy) Validate() error {
	if err := c.checkReferences(); err != nil {
		return err
	}
	if err := c.checkWords(); err != nil {
		return err
	}
	if err := checkCount("size", c.SizeBytes); err != nil {
		return err
	}
	if err := c.Unread.check(c.SizeBytes); err != nil {
		return err
	}
	if _, err := checkMediaDigests(c.Digests, func(Algorithm) string { return ComputedWhileReading }); err != nil {
		return err
	}
	i := c.Image()
	if err := i.checkTakenOver(); err != nil {
		return err
	}
	roles := []string{RoleTree}
	if c.Unread != (Unread{}) || len(c.TakenOver) > 0 || len(i.Role(RoleMap)) > 0 {
		roles = append(roles, RoleMap)
	}
	if len(c.TakenOver) > 0 {
		roles = append(roles, RoleTakenOver)
	}
	if err := i.checkFiles(append(roles, RoleSums, RoleSums)); err != nil {
		return err
	}
	if err := checkMaker(&c.Tool, &c.Host); err != nil {
		return err
	}
	f := &factCheck{}
	f.texts([]named[string]{{"device of the destination", c.Destination.Device}, {"file system of the destination", c.Destination.FileSystem}})
	if f.err != nil {
		return f.err
	}
	if err := c.Started.Validate(); err != nil {
		return err
	}
	return c.Ended.Validate()
}

// checkReferences requires three identifiers, of which the copy's own is no other's, and one leaf for one record.
func (c *Copy) checkReferences() error {
	for _, id := range []string{c.ID, c.Original.ID, c.Source.ID} {
		if !ValidAcquisitionID(id) {
			return fmt.Errorf("%w: acquisition id %.60q", ErrMalformed, id)
		}
	}
	if c.ID == c.Original.ID || c.ID == c.Source.ID {
		return fmt.Errorf("%w: %s is called a copy of itself", ErrMalformed, c.ID)
	}
	if (c.Original.ID == c.Source.ID) != (c.Original.Leaf == c.Source.Leaf) {
		return fmt.Errorf("%w: original and source are one record by their ids, and two by their leaves, or the other way round", ErrMalformed)
	}
	return nil
}

// checkWords refuses words of a later version: what they would mean cannot be checked here.
func (c *Copy) checkWords() error {
	for _, w := range []struct {
		field, got string
		known      []string
	}{
		{"format", c.Format, []string{FormatRaw, FormatE01}},
		{"compression", c.Options.Compression, []string{CompressionNone, CompressionFast, CompressionBest}},
		{"reread kind", c.Reread.Kind, []string{RereadDirect, RereadCacheDropped, RereadCached, RereadNone}},
	} {
		if !slices.Contains(w.known, w.got) {
			return fmt.Errorf("%s %.40q is %w", w.field, w.got, ErrNewer)
		}
	}
	if !c.Reread.Matches || c.Reread.Kind == RereadNone || c.Format == FormatRaw && c.Options.Compression != CompressionNone {
		return fmt.Errorf("%w: re-read kind %q, matches %t; format %q with compression %q", ErrMalformed, c.Reread.Kind, c.Reread.Matches, c.Format, c.Options.Compression)
	}
	return checkCount("segment size", c.Options.SegmentBytes)
}
