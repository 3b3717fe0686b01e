package record

import (
	"fmt"
	"slices"
)

// Verification says what came of an examination of images against their records, and which program made it. The images, with the
// digests that were found, are those of the event.
type Verification struct {
	Result VerificationResult `json:"result"`
	Tool   Tool               `json:"tool"`
}

// VerificationResult is what came of the images of one verification together.
type VerificationResult string

// The results. Of several images the worst counts.
const (
	ResultHeld    VerificationResult = "held"    // every digest that the records name, of the media streams and of the files
	ResultFailed  VerificationResult = "failed"  // something differs from what the records say
	ResultUnknown VerificationResult = "unknown" // nothing differs, and not everything could be checked
)

// checkVerification requires that every image was hashed: of one that was not, nothing was verified.
func (h *Handling) checkVerification() error {
	v := h.Verification
	if v == nil {
		return nil
	}
	if !slices.Contains([]VerificationResult{ResultHeld, ResultFailed, ResultUnknown}, v.Result) {
		return fmt.Errorf("verification result %.40q is %w", v.Result, ErrNewer)
	}
	for field, text := range map[string]string{"tool name": v.Tool.Name, "tool version": v.Tool.Version} {
		if err := checkLine(field, text); err != nil {
			return fmt.Errorf("verification: %w", err)
		}
	}
	for i, image := range h.Images {
		if len(image.Digests) == 0 {
			return fmt.Errorf("%w: images[%d] of a verification has no digests", ErrMalformed, i)
		}
	}
	return nil
}

func (h *Handling) checkPackage() error {
	p := h.Package
	if p == nil {
		return nil
	}
	if err := checkDigests("the package", p.Digests, BLAKE3, SHA256); err != nil {
		return err
	}
	if len(p.Digests) != 2 {
		return fmt.Errorf("%w: the package has other digests than two", ErrMalformed)
	}
	return checkCount("size of the package", p.SizeBytes)
}

// MaxEndorsed bounds the events that one endorsement names.
const MaxEndorsed = 100

func (h *Handling) checkEndorses() error {
	if h.Endorses == nil {
		return nil
	}
	if len(h.Endorses) == 0 || len(h.Endorses) > MaxEndorsed {
		return fmt.Errorf("%w: %d endorsed events", ErrMalformed, len(h.Endorses))
	}
	if !slices.IsSortedFunc(h.Endorses, compareLeaf) || len(slices.Compact(slices.Clone(h.Endorses))) != len(h.Endorses) {
		return fmt.Errorf("%w: endorses are doubled or out of order", ErrMalformed)
	}
	return nil
}
