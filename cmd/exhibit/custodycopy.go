package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/state"
)

// copied says what another program or a device made, of an image or of the exhibit itself.
func (b *eventBuilder) copied(t record.Type, h *record.Handling) error {
	if t != record.TypeCopiedElsewhere {
		return nil
	}
	if len(h.Images) > 1 {
		return withHints(fmt.Errorf("--image: one copy is of one image, and here are %d", len(h.Images)), "log each copy by itself; of the exhibit itself leave --image out")
	}
	c := &record.CopyElsewhere{Digests: []record.Digest{}, Label: b.one("label"), Tool: b.text("tool"), ToolVersion: b.text("tool-version")}
	if c.Label == "unknown" {
		return withHints(errors.New("--label unknown: nobody finds a copy without a number"), "put a number on the copy, and name it here")
	}
	for _, text := range b.said["digest"] {
		d, err := record.ParseDigest(strings.ToLower(text))
		if err != nil {
			return withHints(fmt.Errorf("--digest %.160q: %w", text, err), "write it as sha256: and 64 hex digits; blake3, sha512, sha1 and md5 are known, too")
		}
		if slices.ContainsFunc(c.Digests, func(have record.Digest) bool { return have.Algorithm() == d.Algorithm() }) {
			return fmt.Errorf("--digest: %s is given twice", d.Algorithm())
		}
		c.Digests = append(c.Digests, d)
	}
	slices.SortFunc(c.Digests, func(x, y record.Digest) int { return strings.Compare(string(x.Algorithm()), string(y.Algorithm())) })
	h.Copy = c
	return nil
}

// elsewhere tells of a copy that does not lie in the case.
func (t *teller) elsewhere(c *record.CopyElsewhere) {
	if c == nil {
		return
	}
	t.add("copy", c.Label)
	tool, _ := c.Tool.Get()
	version, _ := c.ToolVersion.Get()
	t.add("made with", strings.TrimSpace(tool+" "+version))
	for _, d := range c.Digests {
		t.add("copy digest", d.String())
	}
}

// elsewhereText says of a copy of what it was made, for whom, and whether its digests are those of the record.
func elsewhereText(e state.Elsewhere) string {
	return fmt.Sprintf("%s, made elsewhere of %s%s (event %d%s): digest %s", e.Label, named("", e.Of, "the exhibit itself"), named(", for ", e.ToName, ""),
		e.Number, state.InLog(e.Log), matchWords[e.Match])
}

type elsewhereDocument struct {
	Number int64  `json:"number"`
	Log    string `json:"log,omitzero"`
	Label  string `json:"label"`
	Of     string `json:"of,omitzero"` // absent: the exhibit itself
	ToName string `json:"toName,omitzero"`
	Match  string `json:"match"`
}

func newElsewhereDocuments(all []state.Elsewhere) []elsewhereDocument {
	out := []elsewhereDocument{}
	for _, e := range all {
		out = append(out, elsewhereDocument{e.Number, e.Log, e.Label, e.Of, e.ToName, string(e.Match)})
	}
	return out
}
