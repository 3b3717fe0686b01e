//go:build linux

package verify

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"lukechampine.com/blake3"
)

// This is a second verifier, written from docs/format.md with nothing from this project: whoever has the document can
// recompute leaf hashes, roots, inclusion proofs and digests. Signatures it leaves to openssl.

// An envelope of section 4, as far as the leaf needs it.
type secondEnvelope struct {
	Payload     []byte
	PayloadType string
	Signatures  []struct {
		KeyID string
		Sig   []byte
	}
}

type secondStatement struct {
	Predicate struct {
		Signers     []struct{ PublicKey []byte }
		Acquisition struct{ Digests []struct{ Digest string } }
	}
}

func secondHash(parts ...[]byte) []byte {
	h := sha256.Sum256(bytes.Join(parts, nil))
	return h[:]
}

// secondLeaf is section 9: the entry of an envelope, and its hash.
func secondLeaf(envelope []byte, keys map[string][]byte) (leaf []byte, payload []byte) {
	var e secondEnvelope
	must(0, json.Unmarshal(envelope, &e))
	b64 := base64.StdEncoding.EncodeToString
	pae := fmt.Sprintf("DSSEv1 %d %s %d %s", len(e.PayloadType), e.PayloadType, len(e.Payload), e.Payload)
	entry := `{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{"hashedRekordV002":{"data":{"algorithm":"SHA2_256","digest":"` +
		b64(secondHash([]byte(pae))) + `"},"signature":{"content":"` + b64(e.Signatures[0].Sig) +
		`","verifier":{"keyDetails":"PKIX_ECDSA_P256_SHA_256","publicKey":{"rawBytes":"` + b64(keys[e.Signatures[0].KeyID]) + `"}}}}}}`
	return secondHash([]byte{0}, []byte(entry)), e.Payload
}

// secondRoot is RFC 6962, section 2.1.
func secondRoot(leaves [][]byte) []byte {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := 1
	for k*2 < len(leaves) {
		k *= 2
	}
	return secondHash([]byte{1}, secondRoot(leaves[:k]), secondRoot(leaves[k:]))
}

// secondInclusion is RFC 9162, section 2.1.3.2.
func secondInclusion(leaf []byte, index, size int, path [][]byte) []byte {
	fn, sn, r := index, size-1, leaf
	for _, p := range path {
		if fn&1 == 1 || fn == sn {
			r = secondHash([]byte{1}, p, r)
			for fn&1 == 0 && fn != 0 {
				fn, sn = fn>>1, sn>>1
			}
		} else {
			r = secondHash([]byte{1}, r, p)
		}
		fn, sn = fn>>1, sn>>1
	}
	return r
}

func TestSecondVerifier(t *testing.T) {
	c := newRealCase(t)
	c.seize("7")
	data := pattern(3*mib+11, 4)
	folder := filepath.Join(c.Dir(), c.acquire("7", idA, data, 0))
	c.seize("8")
	read := func(parts ...string) []byte { return must(os.ReadFile(filepath.Join(parts...))) }

	var opened secondStatement
	must(0, json.Unmarshal(read(c.Dir(), "case.json"), &opened))
	keys := map[string][]byte{}
	for _, s := range opened.Predicate.Signers {
		keys[hex.EncodeToString(secondHash(s.PublicKey))] = s.PublicKey
	}
	logDir := must(filepath.Glob(filepath.Join(c.Dir(), "logs", "*")))[0]
	var leaves [][]byte
	for i := range 4 {
		leaf, _ := secondLeaf(read(logDir, "statement", "000000", fmt.Sprint(i)+".dsse.json"), keys)
		leaves = append(leaves, leaf)
		checkpoint := strings.Split(string(read(logDir, "checkpoints", fmt.Sprint(i+1))), "\n")
		if got := base64.StdEncoding.EncodeToString(secondRoot(leaves)); checkpoint[1] != fmt.Sprint(i+1) || checkpoint[2] != got {
			t.Errorf("checkpoint %q, root of %d entries recomputed %s", checkpoint[:3], i+1, got)
		}
	}
	if got, want := hex.EncodeToString(leaves[0]), c.Fingerprint().String(); got != want {
		t.Errorf("fingerprint recomputed %s, want %s", got, want)
	}

	leaf, payload := secondLeaf(read(folder, "statement.dsse.json"), keys)
	head, checkpoint, _ := strings.Cut(string(read(folder, "proof.tlog-proof")), "\n\n")
	lines := strings.Split(head, "\n")
	index := must(strconv.Atoi(strings.TrimPrefix(lines[1], "index ")))
	var path [][]byte
	for _, l := range lines[2:] {
		path = append(path, must(base64.StdEncoding.DecodeString(l)))
	}
	note := strings.Split(checkpoint, "\n")
	root := secondInclusion(leaf, index, must(strconv.Atoi(note[1])), path)
	if got := base64.StdEncoding.EncodeToString(root); lines[0] != "c2sp.org/tlog-proof@v1" || got != note[2] {
		t.Errorf("inclusion gives the root %s, the checkpoint says %s", got, note[2])
	}

	var acquired secondStatement
	must(0, json.Unmarshal(payload, &acquired))
	b3, sha := blake3.Sum256(read(folder, "7.raw")), sha256.Sum256(read(folder, "7.raw"))
	want := fmt.Sprint("blake3:", hex.EncodeToString(b3[:]), " sha256:", hex.EncodeToString(sha[:]))
	d := acquired.Predicate.Acquisition.Digests
	if got := d[0].Digest + " " + d[len(d)-1].Digest; got != want {
		t.Errorf("recorded %s, computed %s", got, want)
	}
}
