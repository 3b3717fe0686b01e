package record

import "fmt"

// CopyElsewhere is a copy that another program or a device made, of the exhibit itself or of one image of it. It does not lie in the
// case: what is said of it is the word of who signed.
type CopyElsewhere struct {
	Digests     []Digest     `json:"digests"` // as program or device stated them, sorted by algorithm; none: not stated
	Label       string       `json:"label"`   // number or label by which people find the copy
	Tool        Fact[string] `json:"tool"`    // the program or the device, as its name
	ToolVersion Fact[string] `json:"toolVersion"`
}

// maxLabel bounds the label of a copy, in bytes.
const maxLabel = 200

// checkCopy requires a copy of one thing: of one image, or of the exhibit itself.
func (h *Handling) checkCopy() error {
	c := h.Copy
	if c == nil {
		return nil
	}
	if len(h.Images) > 1 {
		return fmt.Errorf("%w: one copy of %d images", ErrMalformed, len(h.Images))
	}
	if err := checkShort("label of the copy", c.Label, maxLabel); err != nil {
		return err
	}
	f := &factCheck{}
	f.texts([]named[string]{{"tool", c.Tool}, {"version of the tool", c.ToolVersion}})
	if f.err != nil {
		return f.err
	}
	return checkDigests("the copy", c.Digests)
}
