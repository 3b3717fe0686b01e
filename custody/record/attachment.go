package record

import (
	"fmt"
	"slices"
)

// Attachment is a photograph, a video, a scan or another file that belongs to an event. Its bytes lie in the case under their
// SHA-256; the name that it had is for people, and nothing is ever opened by it.
type Attachment struct {
	Digests   []Digest       `json:"digests"` // BLAKE3 and SHA-256
	Name      Fact[Personal] `json:"name"`
	SizeBytes int64          `json:"sizeBytes"`
}

// MaxAttachments bounds the attachments of one event.
const MaxAttachments = 200

// SHA256 is the digest under which the attachment's bytes lie.
func (a *Attachment) SHA256() Digest {
	for _, d := range a.Digests {
		if d.alg == SHA256 {
			return d
		}
	}
	return Digest{}
}

// checkAttachments requires that each has both digests and stands once; an empty list is left out of the statement.
func checkAttachments(all []Attachment) error {
	if all != nil && len(all) == 0 || len(all) > MaxAttachments {
		return fmt.Errorf("%w: %d attachments, at most %d are allowed", ErrMalformed, len(all), MaxAttachments)
	}
	seen := map[Digest]bool{}
	for i := range all {
		a := &all[i]
		if err := checkDigests("the attachment", a.Digests, BLAKE3, SHA256); err != nil {
			return err
		}
		if err := checkCount("size of the attachment", a.SizeBytes); err != nil {
			return err
		}
		if sum := a.SHA256(); len(a.Digests) != 2 || seen[sum] {
			return fmt.Errorf("%w: attachments[%d] has other digests than two, or stands twice", ErrMalformed, i)
		}
		seen[a.SHA256()] = true
	}
	return nil
}

// Attachments are those of an event; none of one that cannot have any.
func Attachments(e Event) []Attachment {
	switch e := e.(type) {
	case *Seized:
		return e.Seizure.Attachments
	case *Handled:
		return e.Handling.Attachments
	}
	return nil
}

// PaperAttached reports whether the scan of what was signed on paper is one of the attachments.
func (h *Handling) PaperAttached() bool {
	return slices.ContainsFunc(h.Attachments, func(a Attachment) bool { return slices.Equal(a.Digests, h.Paper) })
}
