package verify

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/exhibit-forensics/exhibit/custody/anchor"
	"github.com/exhibit-forensics/exhibit/custody/bundle"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// bundles is the check of statements that were exported as Sigstore bundles (docs/format.md, 17.1): of one, or of all in a
// folder. No image is looked at, and of the log only what each bundle brings along.
type bundles struct {
	c       *checker
	gen     *genesis            // nil: not here
	between []*x509.Certificate // for time-stamps which lack them
	roots   map[int64]tlog.Hash // by the size of the checkpoint
	have    map[int64]bool      // entries
	stamped int64               // bundles with a time-stamp by a trusted authority
	stamp   anchor.Stamp        // the latest of them
	types   []record.Type       // of the statements that hold

	publicKeys []string // names of files
	exported   int64    // size of the checkpoint of the newest bundle
}

// checkBundles checks the bundle that was named; or all, when the trusted root or the folder was.
func (c *checker) checkBundles() error {
	s := &bundles{c: c, roots: map[int64]tlog.Hash{}, have: map[int64]bool{}}
	c.bundles = s
	s.findGenesis()
	one := c.file != "" && c.file != layout.TrustedRoot
	names := []string{c.file}
	if !one {
		names = s.folder()
	}
	s.takeChanges(names)
	if !one {
		s.trustedRoot()
	}
	for _, name := range s.publicKeys {
		s.publicKey(name)
	}
	for _, name := range names {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		s.check(name)
	}
	if g := s.gen; g != nil {
		if g.trusted {
			c.lines[2].checked++
		} else {
			c.lines[2].add(untrusted(c.file, g.leaf.String()))
		}
		c.report.Cases = append(c.report.Cases, g.facts(s.size(), int64(len(s.roots))))
	}
	if !one {
		s.complete()
	}
	if c.file == "" { // a name that may have been meant for a case must not get the outcome of less
		c.lines[1].add(Finding{Severity: Missing, File: ".", Text: "this is no case, but statements of one that were exported: no image is here, and no custody is checked",
			Advice: "to have only the statements checked, name " + layout.TrustedRoot + " in this folder, or one of the bundles"})
	}
	s.required(int64(len(names)))
	return nil
}

// findGenesis looks for the genesis beside the bundle: exported like it, or as it lies in an acquisition folder.
func (s *bundles) findGenesis() {
	for _, name := range []string{"0" + layout.BundleSuffix, layout.Genesis} {
		b, err := s.c.fsys.readFile(name, record.MaxJSON)
		if isMissing(err) {
			continue
		}
		if err == nil && name != layout.Genesis {
			var parsed bundle.Bundle
			parsed, err = bundle.Parse(b)
			err = content(err)
			b = parsed.Envelope
		}
		if err == nil {
			s.gen, err = readGenesis(b, s.c.policy.Trust)
		}
		if err != nil {
			s.c.lines[2].add(fromError(name, err))
		}
		return
	}
}

// folder checks what lies beside the bundles, and returns their names.
func (s *bundles) folder() []string {
	entries, err := s.c.fsys.readDir(".", layout.MaxFolder)
	if err != nil {
		s.c.lines[3].add(fromError(".", err))
		return nil
	}
	var names []string
	for _, e := range entries {
		switch name := e.Name(); {
		case !e.IsDir() && !e.Type().IsRegular():
			s.c.lines[3].add(fromError(name, fmt.Errorf("%q is %s: %w", name, kindOf(e.Type()), errNotPlain)))
		case strings.HasSuffix(name, layout.BundleSuffix):
			names = append(names, name)
		case strings.HasSuffix(name, layout.PublicKeySuffix):
			s.publicKeys = append(s.publicKeys, name)
		case name != layout.TrustedRoot && name != layout.Genesis:
			s.c.uncovered(name)
		}
	}
	return names
}

// trustedRoot requires that what others' tools will trust is what the genesis says.
func (s *bundles) trustedRoot() {
	b, err := s.c.fsys.readFile(layout.TrustedRoot, record.MaxJSON)
	if err == nil && s.gen == nil {
		return
	}
	var authorities []bundle.Authority
	if err == nil {
		authorities, err = bundle.CheckTrustedRoot(b, s.gen.opened, s.gen.keys.LogKeys(s.exported))
		err = content(err)
	}
	if err != nil {
		s.c.lines[3].add(fromError(layout.TrustedRoot, err))
		return
	}
	s.c.lines[3].checked++
	for _, a := range authorities {
		for _, der := range a.Chain {
			if cert, err := x509.ParseCertificate(der); err == nil && len(s.between) < maxBetween {
				s.between = append(s.between, cert)
			}
		}
	}
}

// publicKey requires that a key which somebody will give to another tool is one that the log admits or did, called as it is.
func (s *bundles) publicKey(name string) {
	b, err := s.c.fsys.readFile(name, layout.MaxEnrolment)
	if err != nil {
		s.c.lines[2].add(fromError(name, err))
		return
	}
	if s.gen == nil {
		return
	}
	id := strings.TrimSuffix(name, layout.PublicKeySuffix)
	block, _ := pem.Decode(b)
	if s.gen.keys.Kind(id) == "" || block == nil || sign.KeyID(block.Bytes) != id ||
		!bytes.Equal(b, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: block.Bytes})) {
		s.c.lines[2].add(mismatch(name, "", "", "", "this is not a key that the log admits, or not the one that its name says"))
	}
}

// check checks one bundle.
func (s *bundles) check(name string) {
	b, err := s.c.fsys.readFile(name, record.MaxJSON)
	var parsed bundle.Bundle
	if err == nil {
		parsed, err = bundle.Parse(b)
		err = content(err)
	}
	if err != nil {
		s.c.lines[2].add(fromError(name, err))
		return
	}
	s.named(name, parsed.Index)
	if s.gen == nil {
		s.withoutGenesis(name, parsed.Key.KeyID())
		return
	}
	at, err := parsed.Check(s.gen.opened.Origin, s.gen.keys.LogKeys(parsed.Size))
	if err != nil {
		s.c.lines[3].add(fromError(name, content(err)))
	} else {
		s.place(name, parsed, at.Size, at.Root)
	}
	if parsed.Leaf != s.gen.leaf {
		s.event(name, parsed)
	} else {
		s.holds(parsed.Key, record.TypeCaseOpened, s.gen.opened.Time)
	}
	s.stamps(name, parsed)
}

// withoutGenesis says what a bundle by itself leaves open.
func (s *bundles) withoutGenesis(name, keyID string) {
	const advice = "put the bundle of the genesis, 0" + layout.BundleSuffix + ", beside it, and verify it again"
	s.c.lines[2].add(Finding{Severity: Missing, File: name, Field: "keyid", Found: keyID, Advice: advice,
		Text: "the statement was signed by key " + keyID + ", as the bundle itself says; without the genesis nothing says whose that is"})
	s.c.lines[3].add(Finding{Severity: Missing, File: name, Advice: advice, Text: "without the genesis nothing says which keys sign the checkpoints of the log"})
}

// takeChanges takes in the changes of keys that the newest of the bundles counts on; each lies in a bundle beside it.
func (s *bundles) takeChanges(names []string) {
	if s.gen == nil {
		return
	}
	var newest bundle.Bundle
	for _, name := range names {
		if b, err := s.c.fsys.readFile(name, record.MaxJSON); err == nil {
			if parsed, err := bundle.Parse(b); err == nil && (newest.Envelope == nil || parsed.Index > newest.Index) {
				newest = parsed
			}
		}
	}
	s.exported = newest.Size
	if newest.Envelope == nil || newest.Index == 0 {
		return
	}
	var at string
	read := func(i int64) ([]byte, error) {
		at = strconv.FormatInt(i, 10) + layout.BundleSuffix
		b, err := s.c.fsys.readFile(at, record.MaxJSON)
		if err != nil {
			return nil, err
		}
		parsed, err := bundle.Parse(b)
		return parsed.Envelope, content(err)
	}
	ref, err := keysSeen(newest)
	if err == nil {
		err = s.gen.follow(ref, read)
	}
	if err != nil {
		s.c.lines[2].add(fromError(at, err))
	}
}

// keysSeen names the newest change of keys that counts for a statement, which may be it.
func keysSeen(b bundle.Bundle) (*record.KeysRef, error) {
	e, err := sign.ParseEnvelope(b.Envelope)
	if err != nil {
		return nil, content(err)
	}
	p, err := record.Decode(e.Payload)
	if err != nil {
		return nil, content(err)
	}
	if _, ok := p.(*record.KeysChanged); ok {
		return &record.KeysRef{Index: b.Index, Leaf: b.Leaf}, nil
	}
	if seen := record.StateOf(p); seen != nil {
		return seen.Keys, nil
	}
	return nil, nil
}

// named requires that a bundle which is called as a statement's is that statement's: another one may lie in its place.
func (s *bundles) named(name string, index int64) {
	number := strings.TrimSuffix(name, layout.BundleSuffix)
	if n, err := strconv.ParseInt(number, 10, 64); err == nil && n != index {
		s.c.lines[3].add(mismatch(name, "logIndex", number, strconv.FormatInt(index, 10), "the bundle is that of another entry than its name says"))
	}
	s.have[index] = true
}

// place takes where in the log the statement stands.
func (s *bundles) place(name string, b bundle.Bundle, size int64, root tlog.Hash) {
	l := &s.c.lines[3]
	if (b.Index == 0) != (b.Leaf == s.gen.leaf) {
		l.add(mismatch(name, "logIndex", "", strconv.FormatInt(b.Index, 10), "the genesis, and nothing else, is entry 0 of a log"))
		return
	}
	if other, ok := s.roots[size]; ok && other != root {
		s.c.lines[4].add(mismatch(name, "rootHash", other.String(), root.String(), fmt.Sprintf("two bundles name different checkpoints of size %d: there were two logs", size)))
		return
	}
	s.roots[size] = root
	l.checked++
}

// event checks the statement as the log's own check does.
func (s *bundles) event(name string, b bundle.Bundle) {
	st, err := s.gen.readStatement(b.Envelope, b.Index)
	if err != nil {
		s.c.lines[2].add(fromError(name, err))
		return
	}
	seen, at := record.StateOf(st.predicate), record.TimeOf(st.predicate)
	if seen == nil {
		s.c.lines[3].add(mismatch(name, "predicateType", "", string(st.predicate.Type()), "the statement is no event"))
		return
	}
	if seen.Origin != s.gen.opened.Origin {
		s.c.lines[3].add(mismatch(name, "event.log.origin", s.gen.opened.Origin, seen.Origin, "the event was signed for another log"))
	}
	if seen.Size > b.Index {
		s.c.lines[3].add(mismatch(name, "event.log.size", fmt.Sprintf("at most %d", b.Index), fmt.Sprint(seen.Size), "the event names a checkpoint that comes after it"))
	}
	s.holds(b.Key, st.predicate.Type(), at)
}

func (s *bundles) holds(key sign.PublicKey, t record.Type, at record.Time) {
	s.c.lines[2].checked++
	s.c.keys[key.KeyID()] = true
	s.types = append(s.types, t)
	s.c.times = append(s.c.times, at)
}

// stamps checks the time-stamps of the signature, and with them whether a key that is revoked signed before.
func (s *bundles) stamps(name string, b bundle.Bundle) {
	e, err := sign.ParseEnvelope(b.Envelope)
	if err != nil {
		s.c.lines[2].add(fromError(name, content(err)))
		return
	}
	var oldest *anchor.Stamp
	for _, t := range b.Tokens {
		stamp, ok := s.token(name, t, sha256.Sum256(e.Signature))
		if ok && (oldest == nil || stamp.Latest().Before(oldest.Latest())) {
			oldest = &stamp
		}
	}
	if oldest != nil {
		s.stamped++
		s.c.lines[5].checked++
		if s.stamp.Authority == "" || oldest.Latest().After(s.stamp.Latest()) {
			s.stamp = *oldest
		}
	}
	s.revoked(name, b, oldest)
}

// token checks one time-stamp over a signature.
func (s *bundles) token(name string, response []byte, sum [sha256.Size]byte) (anchor.Stamp, bool) {
	token, err := anchor.ParseResponse(response)
	var stamp anchor.Stamp
	if err == nil {
		stamp, err = token.Verify(sum, TimeStampRoots(s.c.policy.Trust), s.between)
	}
	l := &s.c.lines[5]
	switch {
	case err == nil:
		return stamp, true
	case errors.Is(err, anchor.ErrUntrusted), errors.Is(err, anchor.ErrNoCertificate):
		l.add(Finding{Severity: Note, File: name, Text: "the time-stamp counts for nothing: " + err.Error(), Advice: adviceRole})
	case errors.Is(err, anchor.ErrOther):
		l.add(mismatch(name, "", "", "", "the time-stamp is about something else than the signature of this statement"))
	case errors.Is(err, record.ErrNewer):
		l.add(fromError(name, err))
	default:
		l.add(fromError(name, content(err)))
	}
	return anchor.Stamp{}, false
}

// revoked takes what revoked keys signed for unknown, but for a statement whose signature was stamped before. No stamp of a
// bundle is about the genesis' signature, or the log's.
func (s *bundles) revoked(name string, b bundle.Bundle, stamp *anchor.Stamp) {
	revoked := revocations(s.c.policy.Trust)
	before := func(since time.Time) bool { return stamp != nil && stamp.Latest().Before(since) }
	id := b.Key.KeyID()
	if since, ok := revoked[id]; ok && !before(since) {
		s.c.lines[2].add(revokedFinding(name, id, b.Index))
	}
	for _, by := range s.gen.vouchers() {
		if _, ok := revoked[by]; ok && b.Index != 0 && id != by {
			s.c.lines[2].add(revokedFinding(name, by, 0))
		}
	}
	for _, k := range s.gen.keys.LogKeys(b.Size) {
		if _, ok := revoked[logKeyID(k)]; ok {
			s.c.lines[3].add(revokedFinding(name, logKeyID(k), b.Index))
		}
	}
}

func (s *bundles) size() int64 {
	size := int64(0)
	for n := range s.roots {
		size = max(size, n)
	}
	return size
}

// complete requires that no statement of the log is left out: all were exported together.
func (s *bundles) complete() {
	size := s.size()
	missing := size
	for i := range s.have {
		if i < size {
			missing--
		}
	}
	if missing > 0 || size == 0 {
		s.c.lines[3].add(Finding{Severity: Missing, File: ".", Text: fmt.Sprintf("of the log's %s, %d are not here", entries(size), missing),
			Advice: "fetch the whole folder again, or name the bundle that is meant"})
	}
}

// required says what is missing of what the policy requires.
func (s *bundles) required(n int64) {
	if s.c.policy.requires(RequireWitness) {
		s.c.lines[4].add(Finding{Severity: Missing, File: s.c.file, Text: "a cosignature of witnesses is required; it lies with the log of the case, and in no bundle", Advice: "verify the case"})
	}
	if s.c.policy.requires(RequireHardware) {
		s.c.lines[2].add(Finding{Severity: Missing, File: s.c.file, Text: "a key in a genuine TPM is required; what shows it lies in the case, and in no bundle", Advice: "verify the case"})
	}
	if s.c.policy.requires(RequireTimeStamp) && (s.stamped < n || n == 0) {
		s.c.lines[5].add(Finding{Severity: Missing, File: s.c.file, Advice: adviceRole,
			Text: fmt.Sprintf("a time-stamp under a trusted root is required of each statement, and %d of %d have one", s.stamped, n)})
	}
}

// what names the types of the statements that hold.
func (s *bundles) what() string {
	types := slices.Clone(s.types)
	slices.Sort(types)
	var words []string
	for _, t := range slices.Compact(types) {
		words = append(words, fmt.Sprintf("%q", t))
	}
	if len(words) == 0 {
		return ""
	}
	return "; it is of the type " + strings.Join(words, ", ")
}

// sentence is that of line 3.
func (s *bundles) sentence() string {
	if len(s.have) == 1 {
		for i := range s.have {
			return fmt.Sprintf("The statement stands in the log %s as entry %d, under a checkpoint of %s that carries every signature that the log requires.",
				s.gen.opened.Origin, i, entries(s.size()))
		}
	}
	return fmt.Sprintf("Each of %s stands in the log %s, under a checkpoint of %s that carries every signature that the log requires.",
		number(int64(len(s.have)), "statement"), s.gen.opened.Origin, entries(s.size()))
}
