package record

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// Erasure names the data that an order had erased. What stands here may be absent; whatever does not is missing as before.
// The order itself, and who gave it, is the event's authority.
type Erasure struct {
	Attachments []Digest       `json:"attachments,omitzero"` // SHA-256 of attachments of the exhibit's events; sorted, nil for none
	Copies      Fact[Personal] `json:"copies"`               // what became of copies that this log does not know
	Images      []ErasedImage  `json:"images"`               // sorted by acquisition
	Openings    []LeafHash     `json:"openings"`             // of the statements whose files of openings were erased; sorted
}

// ErasedImage names files of one acquisition or copy. The leaf hash of its record cannot be known before the record is there,
// so no order excuses what is acquired after it.
type ErasedImage struct {
	Acquisition string   `json:"acquisition"`
	Files       []string `json:"files"` // names in its folder; sorted, at least one
	Record      LeafHash `json:"record"`
}

// MaxErasedOpenings bounds the files of openings that one event names, MaxErasedAttachments the attachments.
const (
	MaxErasedOpenings    = 10_000
	MaxErasedAttachments = 10_000
)

// Erasable reports whether a file of that role holds what an order to erase is about: the bytes of the image, or the tree,
// which would still show that somebody's bytes were those. Sums, maps and journal stay.
func Erasable(role string) bool { return role == RoleImage || role == RoleTree }

func (h *Handling) checkErasure() error {
	e := h.Erasure
	if e == nil {
		return nil
	}
	if _, known := h.Authority.Number.Get(); !known {
		return fmt.Errorf("%w: an erasure without its order", ErrMalformed)
	}
	if h.SealsFound != nil || len(h.SealsRemoved) > 0 {
		return fmt.Errorf("%w: an erasure that is about seals", ErrMalformed)
	}
	if err := e.checkAttachments(); err != nil {
		return err
	}
	if len(e.Images)+len(e.Openings)+len(e.Attachments) == 0 || len(e.Images) > MaxImages || len(e.Openings) > MaxErasedOpenings {
		return fmt.Errorf("%w: an erasure of %d images and %d files of openings", ErrMalformed, len(e.Images), len(e.Openings))
	}
	for i, image := range e.Images {
		if !ValidAcquisitionID(image.Acquisition) || i > 0 && e.Images[i-1].Acquisition >= image.Acquisition {
			return fmt.Errorf("%w: erasure.images[%d] names no acquisition, or one that is doubled or out of order", ErrMalformed, i)
		}
		if err := image.checkFiles(); err != nil {
			return fmt.Errorf("erasure.images[%d]: %w", i, err)
		}
	}
	if !slices.IsSortedFunc(e.Openings, compareLeaf) || len(slices.Compact(slices.Clone(e.Openings))) != len(e.Openings) {
		return fmt.Errorf("%w: erasure.openings are doubled or out of order", ErrMalformed)
	}
	return nil
}

// checkAttachments requires SHA-256 digests in order, none doubled; an empty list is left out of the statement.
func (e *Erasure) checkAttachments() error {
	if e.Attachments != nil && len(e.Attachments) == 0 || len(e.Attachments) > MaxErasedAttachments {
		return fmt.Errorf("%w: an erasure of %d attachments", ErrMalformed, len(e.Attachments))
	}
	for i, d := range e.Attachments {
		if d.Algorithm() != SHA256 || i > 0 && e.Attachments[i-1].Hex() >= d.Hex() {
			return fmt.Errorf("%w: erasure.attachments[%d] is no SHA-256, or doubled or out of order", ErrMalformed, i)
		}
	}
	return nil
}

func (e *ErasedImage) checkFiles() error {
	if len(e.Files) == 0 || len(e.Files) > MaxFiles {
		return fmt.Errorf("%w: %d files", ErrMalformed, len(e.Files))
	}
	for i, name := range e.Files {
		if !fileForm.MatchString(name) {
			return fmt.Errorf("%w: file name %.80q", ErrMalformed, name)
		}
		if i > 0 && e.Files[i-1] >= name {
			return fmt.Errorf("%w: the files are doubled or out of order", ErrMalformed)
		}
	}
	return nil
}

// ErasableFiles are the names of those files of an image that an order can have erased, sorted.
func ErasableFiles(files []File) []string {
	var out []string
	for _, f := range files {
		if Erasable(f.Role) {
			out = append(out, f.Name)
		}
	}
	slices.Sort(out)
	return out
}

// SortLeaves sorts leaf hashes as a statement needs them, and drops what is doubled.
func SortLeaves(leaves []LeafHash) []LeafHash {
	out := slices.Clone(leaves)
	slices.SortFunc(out, compareLeaf)
	return slices.Compact(out)
}

// SortDigests sorts digests of one algorithm as a statement needs them, and drops what is doubled.
func SortDigests(digests []Digest) []Digest {
	out := slices.Clone(digests)
	slices.SortFunc(out, func(a, b Digest) int { return strings.Compare(a.Hex(), b.Hex()) })
	return slices.Compact(out)
}

func compareLeaf(a, b LeafHash) int { return bytes.Compare(a[:], b[:]) }
