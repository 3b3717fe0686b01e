package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/acquire/image/ewf"
	"github.com/exhibit-forensics/exhibit/custody/record"
)

// e01Document is what an E01 states about itself. Nothing of it is checked.
type e01Document struct {
	SectorBytes int64            `json:"sectorBytes"`
	ChunkBytes  int64            `json:"chunkBytes"`
	Compression int64            `json:"compression"` // 0 none, 1 fast, 2 best, as the image says
	Physical    bool             `json:"physical"`
	SetID       string           `json:"setId"` // hex
	Case        string           `json:"case,omitzero"`
	Evidence    string           `json:"evidence,omitzero"`
	Description string           `json:"description,omitzero"`
	Examiner    string           `json:"examiner,omitzero"`
	Notes       string           `json:"notes,omitzero"`
	Model       string           `json:"model,omitzero"`
	Serial      string           `json:"serial,omitzero"`
	Program     string           `json:"program,omitzero"`
	OS          string           `json:"os,omitzero"`
	Acquired    string           `json:"acquired,omitzero"` // RFC 3339, UTC; without a zone where the image has none
	Stored      []record.Digest  `json:"stored"`
	Unread      []sectorRange    `json:"unread"`
	Missing     *missingDocument `json:"missing,omitzero"` // what stood in segments that are not there
	Remarks     []string         `json:"remarks"`          // what is unusual or damaged about its structure
}

type sectorRange struct {
	First int64 `json:"first"`
	Count int64 `json:"count"`
}

func newE01Document(r *ewf.Reader) *e01Document {
	h, v := r.Header(), r.Volume()
	d := &e01Document{SectorBytes: r.SectorBytes(), ChunkBytes: r.ChunkBytes(), Compression: int64(v.Level), Physical: v.Flags&ewf.FlagPhysical != 0,
		SetID: hex.EncodeToString(v.SetID[:]), Case: h.Case, Evidence: h.Evidence, Description: h.Description, Examiner: h.Examiner, Notes: h.Notes,
		Model: h.Model, Serial: h.Serial, Program: h.AcquiredSoftwareVersion, OS: h.OS,
		Stored: storedDigests(r), Unread: []sectorRange{}, Missing: newMissingDocument(r.Missing()), Remarks: []string{}}
	if !h.Acquired.IsZero() {
		form := time.RFC3339
		if h.LocalTimes {
			form = "2006-01-02T15:04:05"
		}
		d.Acquired = h.Acquired.UTC().Format(form)
	}
	for _, u := range r.Unread() {
		d.Unread = append(d.Unread, sectorRange{u.FirstSector, u.Sectors})
	}
	for _, n := range r.Notes() {
		d.Remarks = append(d.Remarks, fmt.Sprintf("%s, byte %d: %s", n.Segment, n.Offset, n.Text))
	}
	return d
}

func storedDigests(r *ewf.Reader) []record.Digest {
	out := []record.Digest{}
	s := r.Stored()
	for _, stored := range []struct {
		alg record.Algorithm
		sum []byte
	}{{record.MD5, s.MD5}, {record.SHA1, s.SHA1}} {
		if d, err := record.NewDigest(stored.alg, stored.sum); err == nil && stored.sum != nil {
			out = append(out, d)
		}
	}
	return out
}

func (d *e01Document) show(u *ui) {
	u.linef("Sectors:  of %d bytes, %d to a chunk; set %s", d.SectorBytes, d.ChunkBytes/d.SectorBytes, d.SetID)
	for _, f := range []struct{ name, value string }{
		{"Case:", d.Case}, {"Evidence:", d.Evidence}, {"What:", d.Description}, {"Examiner:", d.Examiner}, {"Notes:", d.Notes}, {"Model:", d.Model},
		{"Serial:", d.Serial}, {"Program:", d.Program}, {"System:", d.OS}, {"Acquired:", d.Acquired},
	} {
		if f.value != "" {
			u.linef("%-9s %s", f.name, clean(f.value))
		}
	}
	for _, s := range d.Stored {
		u.linef("Stated:   %s %s (not checked; exhibit image hash does)", s.Algorithm(), s.Hex())
	}
	if d.Missing != nil {
		u.linef("Missing:  %s", clean(d.Missing.text))
	}
	if n := len(d.Unread); n > 0 {
		u.linef("Unread:   %s", plural(int64(n), "range"))
	}
	for _, r := range d.Remarks {
		u.linef("Remark:   %s", clean(r))
	}
}

func formatOf(r *image.Reader) string {
	if r.E01() != nil {
		return record.FormatE01
	}
	return record.FormatRaw
}

// e01Error gives what is wrong with an image its exit code.
func e01Error(err error) error {
	if errors.Is(err, ewf.ErrMissing) || errors.Is(err, image.ErrMissing) {
		return missingSegment(err)
	}
	_, damaged := errors.AsType[*ewf.DamageError](err)
	if damaged || errors.Is(err, ewf.ErrStructure) || errors.Is(err, ewf.ErrSegments) || errors.Is(err, ewf.ErrChanged) {
		return withCode(codeMismatch, err)
	}
	return err
}

// statedHold requires the digests that an image states about itself to be those of the bytes that it gave.
func statedHold(r *image.Reader, computed []record.Digest) error {
	if r.E01() == nil {
		return nil
	}
	for _, stated := range storedDigests(r.E01()) {
		for _, d := range computed {
			if d.Algorithm() == stated.Algorithm() && d != stated {
				return withHints(withCode(codeMismatch, fmt.Errorf("the image states %s %s, and its bytes have %s", stated.Algorithm(), stated.Hex(), d.Hex())),
					"the image was damaged or changed after it was made: get another copy")
			}
		}
	}
	return nil
}

// damagedParts names what is damaged besides the chunks: a digest that cannot be read is not one that holds.
func damagedParts(u *ui, r *image.Reader) error {
	if r.E01() == nil {
		return nil
	}
	var n int64
	for _, note := range r.E01().Notes() {
		if !note.Damage {
			continue
		}
		if n++; n <= maxDamageShown {
			u.notef("%s", clean(fmt.Sprintf("%s, byte %d: %s", note.Segment, note.Offset, note.Text)))
		}
	}
	if n == 0 {
		return nil
	}
	return withHints(withCode(codeMismatch, fmt.Errorf("the image's structure is damaged in %s, though all chunks were decoded", plural(n, "place"))),
		"get another copy, and compare the digests")
}

// maxDamageShown bounds the damaged chunks that are named one by one.
const maxDamageShown = 20

// damagedImage names the damaged chunks of an image that could not be read to its end.
func damagedImage(ctx context.Context, u *ui, r *image.Reader, cause error) error {
	if _, ok := errors.AsType[*ewf.DamageError](cause); !ok || r.E01() == nil {
		return cause
	}
	var n int64
	err := r.E01().Check(ctx, func(e *ewf.DamageError) bool {
		if n++; n <= maxDamageShown {
			u.notef("%s", clean(e.Error()))
		}
		return true
	})
	if err != nil {
		return err
	}
	return withHints(withCode(codeMismatch, fmt.Errorf("the image is damaged: %s cannot be decoded", plural(n, "chunk"))),
		"get another copy; of this one exhibit acquire IMAGE takes all that can be read, and lists the rest")
}
