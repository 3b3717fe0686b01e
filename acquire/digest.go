package acquire

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha512"
	"hash"
	"slices"
	"strings"

	"lukechampine.com/blake3"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// newHash makes the hash of an algorithm that is not computed in any case; nil for every other.
func newHash(alg record.Algorithm) hash.Hash {
	switch alg {
	case record.SHA512:
		return sha512.New()
	case record.SHA1:
		return sha1.New()
	case record.MD5:
		return md5.New()
	}
	return nil
}

// digestsOf returns the two digests of a small file, as a record wants them.
func digestsOf(b []byte) []record.Digest {
	return []record.Digest{record.BLAKE3Digest(blake3.Sum256(b)), record.SHA256Of(b)}
}

func sortDigests(digests []record.MediaDigest) {
	slices.SortFunc(digests, func(a, b record.MediaDigest) int {
		return strings.Compare(string(a.Digest.Algorithm()), string(b.Digest.Algorithm()))
	})
}
