package record

import (
	"strings"
	"testing"
)

// What an order had erased, what is attached and what is withheld is exact, or refused.
func TestHandledRefusesLists(t *testing.T) {
	refuseAll(t, map[string]badEvent{
		"erasure of nothing":         {TypeDestroyed, `"images":[{"acquisition":"20261123T081500Z-1a2b3c4d","files":["7.raw","7.tree"],"record":"06` + strings.Repeat("00", 31) + `"}],"openings":["07` + strings.Repeat("00", 31) + `","08` + strings.Repeat("00", 31) + `"]`, `"images":[],"openings":[]`, ErrMalformed},
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
