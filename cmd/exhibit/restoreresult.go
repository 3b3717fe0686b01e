package main

import (
	"fmt"

	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/acquire/restore"
	"github.com/exhibit-forensics/exhibit/custody/record"
)

// restoreDocument is what a restore that came to its end has done.
type restoreDocument struct {
	Schema           string                `json:"schema"`
	ExitCode         int                   `json:"exitCode"`
	Folder           string                `json:"folder"`
	Exhibit          string                `json:"exhibit"`
	Acquisition      string                `json:"acquisition"`
	VerifyCode       int                   `json:"verifyExitCode"`
	Target           restoreTargetDocument `json:"target"`
	Whole            bool                  `json:"whole"`
	ImageBytes       int64                 `json:"imageBytes"`
	ImageOffset      int64                 `json:"imageOffset"`
	TargetOffset     int64                 `json:"targetOffset"`
	SizeBytes        int64                 `json:"sizeBytes"`
	TruncatedBytes   int64                 `json:"truncatedBytes"`
	FilledBytes      int64                 `json:"filledBytes"`
	ExcessBytes      int64                 `json:"excessBytes"`
	ImageSectorBytes record.Fact[int64]    `json:"imageSectorBytes"`
	SectorsDiffer    bool                  `json:"sectorsDiffer"`
	Unread           unreadDocument        `json:"unread"`
	Unwritten        []restore.Range       `json:"unwritten"`
	Differing        []restore.Range       `json:"differing"`
	ReadBack         string                `json:"readBack"`
	Digests          []record.Digest       `json:"digests"`
	MatchesRecord    bool                  `json:"matchesRecord"`
	Warnings         []string              `json:"warnings"`

	want []record.Digest // that the record has of the whole image
}

type restoreTargetDocument struct {
	Path        string   `json:"path"`
	Kind        string   `json:"kind"`
	SizeBytes   int64    `json:"sizeBytes"`
	SectorBytes int64    `json:"sectorBytes"`
	Model       string   `json:"model,omitzero"`
	Serials     []string `json:"serials"`
}

type unreadDocument struct {
	Bytes  int64 `json:"bytes"`
	Ranges int64 `json:"ranges"`
}

func (d *restoreTargetDocument) describe(about record.Medium, id medium.Identity) {
	if h, ok := about.Hardware.Get(); ok {
		d.Model, _ = h.Model.Get()
	}
	d.Serials = id.Serials
	if id.USBSerial != "" {
		d.Serials = append(d.Serials, id.USBSerial)
	}
}

// fill makes the document of a result.
func (r *restoring) fill(result restore.Result, name string, unread unreadDocument, readBack string, device bool) {
	a, p, d := r.image.record, result.Plan, &r.doc
	d.Schema, d.Folder, d.Exhibit, d.Acquisition, d.VerifyCode = "exhibit-restore/v1", r.image.dir, a.Event.Exhibit, a.Acquisition.ID, r.verified
	d.Target.Path, d.Target.Kind, d.Target.SizeBytes = name, "file", p.Part.SizeBytes
	if device {
		d.Target.Kind, d.Target.SizeBytes, d.Target.SectorBytes = "block-device", r.device.Size(), r.device.SectorBytes()
	}
	if d.Target.Serials == nil {
		d.Target.Serials = []string{}
	}
	d.Whole, d.ImageBytes, d.ImageOffset, d.TargetOffset, d.SizeBytes = result.Whole(), p.Image, p.Part.Offset, p.At, p.Part.SizeBytes
	d.TruncatedBytes, d.FilledBytes, d.ExcessBytes = p.Truncated, p.Fill.SizeBytes, p.Excess
	d.ImageSectorBytes, d.Unread, d.ReadBack = a.Acquisition.Medium.LogicalSectorBytes, unread, readBack
	d.Unwritten, d.Differing = append([]restore.Range{}, result.Unwritten...), append([]restore.Range{}, result.Differing...)
	d.Digests, d.MatchesRecord = append([]record.Digest{}, result.Digests...), result.Matches
	if d.Warnings == nil {
		d.Warnings = []string{}
	}
	d.ExitCode = restoreCode(result, r.verified)
	r.u.code = d.ExitCode
}

// restoreCode puts the codes in the order of docs/exit-codes.md.
func restoreCode(result restore.Result, verified int) int {
	switch {
	case !covered(result.Differing, result.Unwritten):
		return codeMismatch
	case !result.Written():
		return codeFailed
	case result.Truncated > 0:
		return codeUnread
	}
	return verified
}

// covered reports whether every byte of inner is one of outer; both are in order and joined.
func covered(inner, outer []restore.Range) bool {
	for _, r := range inner {
		inside := false
		for _, o := range outer {
			inside = inside || o.Offset <= r.Offset && r.End() <= o.End()
		}
		if !inside {
			return false
		}
	}
	return true
}

func (r *restoring) print() {
	u, d := r.u, r.doc
	if d.Whole {
		u.linef("Restored:  %s of exhibit %s to %s, from its byte %d on", size(d.SizeBytes), clean(d.Exhibit), clean(d.Target.Path), d.TargetOffset)
	} else {
		u.linef("NOT WHOLE: %s of exhibit %s were to go to %s, from its byte %d on", size(d.SizeBytes+d.TruncatedBytes), clean(d.Exhibit), clean(d.Target.Path), d.TargetOffset)
	}
	if d.SizeBytes != d.ImageBytes {
		u.linef("Part:      bytes %d to %d of an image of %d", d.ImageOffset, d.ImageOffset+d.SizeBytes-1, d.ImageBytes)
	}
	for _, digest := range d.Digests {
		u.linef("  %-7s %s", digest.Algorithm(), digest.Hex())
	}
	u.linef("Read back: %s", readBackText(d))
	switch {
	case d.FilledBytes > 0:
		u.linef("Excess:    %s behind it, zeros now", size(d.FilledBytes))
	case d.ExcessBytes > 0:
		u.linef("Excess:    %s behind it, left as it was", size(d.ExcessBytes))
	}
	if d.Unread.Bytes > 0 {
		u.linef("Unread:    %s in %s that the medium did not give: zeros, as in the image", size(d.Unread.Bytes), plural(d.Unread.Ranges, "range"))
	}
	if d.TruncatedBytes > 0 {
		u.linef("Left out:  %s that did not fit", size(d.TruncatedBytes))
	}
	r.list("not written", d.Unwritten)
	r.list("not read back as it was written", d.Differing)
}

// list names places of the target, on stderr: they are what went wrong.
func (r *restoring) list(what string, ranges []restore.Range) {
	const most = 20
	sector := int64(1)
	if r.device != nil {
		sector = r.device.SectorBytes()
	}
	for i, g := range ranges {
		if i == most {
			r.u.notef("error: %s: %d more places (--json lists them)", what, len(ranges)-most)
			return
		}
		place := fmt.Sprintf("%d bytes at offset %d", g.SizeBytes, g.Offset)
		if sector > 1 {
			place += fmt.Sprintf(" (sector %d, %s)", g.Offset/sector, plural((g.End()+sector-1)/sector-g.Offset/sector, "sector"))
		}
		r.u.notef("error: %s: %s", what, place)
	}
}

func readBackText(d restoreDocument) string {
	how := map[string]string{"direct": "past the system's cache", "evicted": "after asking the system to forget it", "cached": "perhaps from memory"}[d.ReadBack]
	switch {
	case len(d.Differing) > 0:
		return how + ": NOT what was written"
	case d.MatchesRecord:
		return how + ", every byte the same, the digests those of the record"
	}
	return how + ", every byte the same as in the image"
}
