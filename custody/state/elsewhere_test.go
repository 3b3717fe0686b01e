package state

import (
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// Every digest counts: one that differs is not outweighed by one that fits, and nothing in common is no match.
func TestMatchOf(t *testing.T) {
	digest := func(alg record.Algorithm, first byte, size int) record.Digest {
		d, err := record.NewDigest(alg, append([]byte{first}, make([]byte, size-1)...))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	sha, other, md5 := digest(record.SHA256, 1, 32), digest(record.SHA256, 2, 32), digest(record.MD5, 1, 16)
	recorded := []record.MediaDigest{{Digest: sha}, {Digest: md5}}
	for name, c := range map[string]struct {
		found []record.Digest
		in    []record.MediaDigest
		want  Match
	}{
		"equal":           {[]record.Digest{sha}, recorded, MatchEqual},
		"both":            {[]record.Digest{md5, sha}, recorded, MatchEqual},
		"one differs":     {[]record.Digest{md5, other}, recorded, MatchDiffers},
		"none stated":     {nil, recorded, MatchNone},
		"no record":       {[]record.Digest{sha}, nil, MatchNone},
		"none in common":  {[]record.Digest{md5}, recorded[:1], MatchNone},
		"differs, alone ": {[]record.Digest{other}, recorded[:1], MatchDiffers},
	} {
		if got := matchOf(c.found, c.in); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
