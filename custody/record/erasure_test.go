package record

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// What an order had erased, what is attached and what is withheld is exact, or refused.
func TestHandledRefusesLists(t *testing.T) {
	refuseAll(t, map[string]badEvent{
		"erased attachments, empty":  {TypeDestroyed, `"erasure":{"attachments":["sha256:` + strings.Repeat("02", 32) + `","sha256:` + strings.Repeat("04", 32) + `"]`, `"erasure":{"attachments":[]`, ErrMalformed},
		"erased attachments twice":   {TypeDestroyed, `"erasure":{"attachments":["sha256:` + strings.Repeat("02", 32), `"erasure":{"attachments":["sha256:` + strings.Repeat("04", 32), ErrMalformed},
		"erased by another digest":   {TypeDestroyed, `"erasure":{"attachments":["sha256:` + strings.Repeat("02", 32), `"erasure":{"attachments":["blake3:` + strings.Repeat("02", 32), ErrMalformed},
		"erasure of no file":         {TypeDestroyed, `["7.raw","7.tree"]`, `[]`, ErrMalformed},
		"erasure out of order":       {TypeDestroyed, `["7.raw","7.tree"]`, `["7.tree","7.raw"]`, ErrMalformed},
		"erasure elsewhere":          {TypeDestroyed, `["7.raw","7.tree"]`, `["../8.raw","7.tree"]`, ErrMalformed},
		"erasure without order":      {TypeDestroyed, `"number":{"personal":"`, `"number":{"unknown":"`, ErrMalformed},
		"erasure with seals":         {TypeDestroyed, `"sealsApplied":[],"sealsRemoved":[]`, `"sealsApplied":[],"sealsRemoved":["S-1"]`, ErrMalformed},
		"openings out of order":      {TypeDestroyed, `"openings":["07`, `"openings":["09`, ErrMalformed},
		"erasure of another event":   {TypeNoted, `"images":[`, `"erasure":{"copies":{"unknown":"x"},"images":[],"openings":["07` + strings.Repeat("00", 31) + `"]},"images":[`, ErrMalformed},
		"attachment twice":           {TypeNoted, `"attachments":[{"digests":["blake3:` + strings.Repeat("01", 32) + `","sha256:` + strings.Repeat("02", 32), `"attachments":[{"digests":["blake3:` + strings.Repeat("01", 32) + `","sha256:` + strings.Repeat("04", 32), ErrMalformed},
		"attachment of no size":      {TypeNoted, `"sizeBytes":5`, `"sizeBytes":-5`, ErrMalformed},
		"attachment without SHA-256": {TypeNoted, `"attachments":[{"digests":["blake3:` + strings.Repeat("01", 32) + `","sha256:` + strings.Repeat("02", 32) + `"]`, `"attachments":[{"digests":["blake3:` + strings.Repeat("01", 32) + `"]`, ErrMalformed},
		"nothing withheld":           {TypeDisclosed, `["/handling/actor/name","/seizure/holder"]`, `[]`, ErrMalformed},
		"withheld out of order":      {TypeDisclosed, `["/handling/actor/name","/seizure/holder"]`, `["/seizure/holder","/handling/actor/name"]`, ErrMalformed},
		"withheld no pointer":        {TypeDisclosed, `["/handling/actor/name",`, `["actor",`, ErrMalformed},
	})
}

// One of images, openings and attachments is enough, and of nothing is none.
func TestErasureOfSomething(t *testing.T) {
	for what, erase := range map[string]func(*Erasure){
		"images":      func(e *Erasure) { e.Attachments, e.Openings = nil, []LeafHash{} },
		"openings":    func(e *Erasure) { e.Attachments, e.Images = nil, []ErasedImage{} },
		"attachments": func(e *Erasure) { e.Images, e.Openings = []ErasedImage{}, []LeafHash{} },
		"nothing":     func(e *Erasure) { e.Attachments, e.Images, e.Openings = nil, []ErasedImage{}, []LeafHash{} },
	} {
		h := exampleHandled(TypeDestroyed)
		erase(h.Handling.Erasure)
		if _, err := Encode(h); errors.Is(err, ErrMalformed) != (what == "nothing") {
			t.Errorf("an erasure of %s: %v", what, err)
		}
	}
	digests := []Digest{exampleDigest(SHA256, 3), exampleDigest(SHA256, 1), exampleDigest(SHA256, 3)}
	if got := SortDigests(digests); !slices.Equal(got, []Digest{exampleDigest(SHA256, 1), exampleDigest(SHA256, 3)}) {
		t.Errorf("sorted: %v", got)
	}
}
