package verify

import (
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/exhibit-forensics/exhibit/custody/anchor"
	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// What a Policy can require beside the lines that are always required.
const (
	RequireWitness   = "witness"   // a quorum of trusted witnesses has cosigned every acquisition
	RequireTimeStamp = "timestamp" // a trusted authority has time-stamped every acquisition
	RequireHardware  = "hardware"  // keys of assurance tpm-hardware signed every acquisition, and the checkpoints of the log that it stands in
)

// Requirements lists what a Policy can require.
var Requirements = []string{RequireWitness, RequireTimeStamp, RequireHardware}

const (
	adviceAnchor = "compare with another copy of the log; who changed the log afterwards, or a copy of it, cannot make the anchors fit"
	adviceRole   = "exhibit trust add -h says how to trust a time-stamp root or a witness, once it was compared by another channel"
)

// anchorFile is an anchor by its name.
type anchorFile struct {
	name string // below the log
	size int64
	sum  string
	kind string
}

// anchors are what a log's folder of anchors is worth.
type anchors struct {
	files   []anchorFile
	wanted  map[int64]bool              // sizes that an anchor is about
	roots   map[int64]ledger.Checkpoint // what the log's entries give at those sizes
	named   map[record.Digest]int64     // by the first statement that names it
	between []*x509.Certificate         // that lie there for tokens which lack them
	stamps  []stamped
	cosigns []cosigned
}

// stamped is a time-stamp that holds, by a trusted authority.
type stamped struct {
	size  int64
	stamp anchor.Stamp
}

// cosigned is a checkpoint that a trusted witness cosigned with all the keys that are trusted for it.
type cosigned struct {
	size    int64
	witness string
	at      time.Time
}

// listAnchors lists the folder before the log is read, so that only the sizes that matter are kept in mind.
func (l *logCheck) listAnchors() {
	l.anchors = anchors{wanted: map[int64]bool{}, roots: map[int64]ledger.Checkpoint{}, named: map[record.Digest]int64{}}
	dir := l.path(layout.AnchorsDir)
	entries, err := l.c.fsys.readDir(dir, layout.MaxFolder)
	if isMissing(err) {
		return
	}
	if err != nil {
		l.append.add(fromError(dir, err))
	}
	for _, e := range entries {
		name := within(dir, e.Name())
		size, sum, kind, ok := layout.ParseAnchor(e.Name())
		switch {
		case !e.IsDir() && !e.Type().IsRegular():
			l.append.add(fromError(name, fmt.Errorf("%q is %s: %w", e.Name(), kindOf(e.Type()), errNotPlain)))
		case within(layout.AnchorsDir, e.Name()) == layout.Uncommitted, within(layout.AnchorsDir, e.Name()) == layout.PendingAnchors:
		case !ok:
			l.c.uncovered(name)
		default:
			l.anchors.files = append(l.anchors.files, anchorFile{name, size, sum, kind})
			l.anchors.wanted[size] = true
		}
	}
}

// checkAnchors holds each anchor against the log, when all of it was read.
func (l *logCheck) checkAnchors() {
	roots := TimeStampRoots(l.c.policy.Trust)
	witnesses, _ := Witnesses(l.c.policy.Trust)
	// Certificates first, for the tokens need them.
	slices.SortStableFunc(l.anchors.files, func(a, b anchorFile) int { return cmp.Compare(rank(a.kind), rank(b.kind)) })
	for _, f := range l.anchors.files {
		b, err := l.c.fsys.readFile(f.name, max(layout.MaxToken, layout.MaxCosigned))
		if err != nil {
			l.append.add(fromError(f.name, err))
			continue
		}
		if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != f.sum {
			l.append.add(mismatch(f.name, "", f.sum, hex.EncodeToString(sum[:]), "the anchor was changed: its name is the SHA-256 that it had"))
			continue
		}
		delete(l.anchors.named, record.SHA256Of(b))
		checkpoint, ok := l.anchors.roots[f.size]
		switch {
		case !ok:
			m := mismatch(f.name, "size", fmt.Sprintf("at most %d", l.tree.size), fmt.Sprint(f.size),
				"an anchor of a larger log than this one lies here: the log was cut back, or the file is foreign")
			m.Advice = adviceAnchor
			l.append.add(m)
		case f.kind == layout.AnchorChain:
			l.takeChain(f, b)
		case f.kind == layout.AnchorCosigned:
			l.checkCosigned(f, b, checkpoint, witnesses)
		default:
			l.checkToken(f, b, checkpoint, roots)
		}
	}
	for d, i := range l.anchors.named {
		l.append.add(Finding{Severity: Missing, File: l.path(layout.AnchorsDir), Expected: d.String(),
			Text: fmt.Sprintf("the anchor %s, which entry %d names, is not here: it was taken away", d, i), Advice: adviceMissing})
	}
}

func rank(kind string) int {
	if kind == layout.AnchorChain {
		return 0
	}
	return 1
}

// maxBetween bounds the certificates that a log keeps for its tokens.
const maxBetween = 1000

func (l *logCheck) takeChain(f anchorFile, b []byte) {
	chain, err := anchor.ParseChain(b)
	if err != nil {
		l.time.add(fromError(f.name, content(err)))
		return
	}
	if len(l.anchors.between) < maxBetween {
		l.anchors.between = append(l.anchors.between, chain...)
	}
}

func (l *logCheck) checkCosigned(f anchorFile, b []byte, want ledger.Checkpoint, witnesses []anchor.WitnessKey) {
	c, err := anchor.ParseCosigned(b)
	if err != nil {
		l.append.add(fromError(f.name, content(err)))
		return
	}
	if c.Checkpoint != want {
		m := mismatch(f.name, "root", want.Root.String(), c.Checkpoint.Root.String(),
			fmt.Sprintf("what was cosigned is not the checkpoint of size %d of this log: there are two histories of it", f.size))
		m.Advice = adviceAnchor
		l.append.add(m)
		return
	}
	times := map[string]time.Time{} // of each witness, the latest of its lines
	for _, k := range witnesses {
		if at, ok := c.By(k); ok && at.After(times[k.Name()]) {
			times[k.Name()] = at
		}
	}
	for _, k := range witnesses { // a witness counts with all its keys or not at all
		if _, ok := c.By(k); !ok {
			delete(times, k.Name())
		}
	}
	for name, at := range times {
		l.anchors.cosigns = append(l.anchors.cosigns, cosigned{f.size, name, at})
	}
	if len(times) == 0 {
		l.append.add(Finding{Severity: Note, File: f.name, Text: "no line in it is by a witness that is trusted here, so it counts for nothing", Advice: adviceRole})
	}
}

func (l *logCheck) checkToken(f anchorFile, b []byte, want ledger.Checkpoint, roots []*x509.Certificate) {
	token, err := anchor.ParseResponse(b)
	var stamp anchor.Stamp
	if err == nil {
		stamp, err = token.Verify(sha256.Sum256([]byte(want.Text())), roots, l.anchors.between)
	}
	switch {
	case err == nil:
		l.anchors.stamps = append(l.anchors.stamps, stamped{f.size, stamp})
	case errors.Is(err, anchor.ErrUntrusted), errors.Is(err, anchor.ErrNoCertificate):
		l.time.add(Finding{Severity: Note, File: f.name, Text: "the time-stamp counts for nothing: " + err.Error(), Advice: adviceRole})
	case errors.Is(err, anchor.ErrOther):
		m := mismatch(f.name, "", "", "", fmt.Sprintf("the time-stamp is about something else than the checkpoint of size %d of this log", f.size))
		m.Advice = adviceAnchor
		l.time.add(m)
	case errors.Is(err, record.ErrNewer):
		l.time.add(fromError(f.name, err))
	default:
		l.time.add(fromError(f.name, content(err)))
	}
}

// stampedSize is how many entries a trusted authority saw; only before that time, unless it is zero. at is when it said so.
func (a *anchors) stampedSize(before time.Time) (size int64, by stamped) {
	for _, s := range a.stamps {
		if (before.IsZero() || s.stamp.Latest().Before(before)) && s.size > size {
			size, by = s.size, s
		}
	}
	return size, by
}

// witnessedSize is how many entries a quorum of witnesses saw; only before that time, unless it is zero.
func (a *anchors) witnessedSize(quorum int64, before time.Time) int64 {
	largest := map[string]int64{}
	for _, c := range a.cosigns {
		if before.IsZero() || c.at.Before(before) {
			largest[c.witness] = max(largest[c.witness], c.size)
		}
	}
	var sizes []int64
	for _, size := range largest {
		sizes = append(sizes, size)
	}
	slices.SortFunc(sizes, func(x, y int64) int { return cmp.Compare(y, x) })
	if quorum < 1 || int64(len(sizes)) < quorum {
		return 0
	}
	return sizes[quorum-1]
}

// judgeAnchors says what the anchors prove of this log, and what is missing of what was required.
func (l *logCheck) judgeAnchors() {
	_, quorum := Witnesses(l.c.policy.Trust)
	l.stampedTo, l.stampedBy = l.anchors.stampedSize(time.Time{})
	l.witnessedTo = l.anchors.witnessedSize(quorum, time.Time{})
	for _, line := range []struct {
		to   int64
		line *line
	}{{l.witnessedTo, &l.append}, {l.stampedTo, &l.append}, {l.stampedTo, &l.time}} {
		if line.to > 0 {
			line.line.checked++
		}
	}
	last := int64(0) // the newest acquisition, or the genesis
	for _, a := range l.images {
		last = max(last, a.index)
	}
	const text = "%s is required, and what there is covers %s of this log, not entry %d"
	if l.c.policy.requires(RequireWitness) && l.witnessedTo <= last {
		l.append.add(Finding{Severity: Missing, File: l.path(layout.AnchorsDir), Advice: adviceRole,
			Text: fmt.Sprintf(text, fmt.Sprintf("a cosignature of %d trusted witnesses", max(quorum, 1)), entries(l.witnessedTo), last)})
	}
	if l.c.policy.requires(RequireTimeStamp) && l.stampedTo <= last {
		l.time.add(Finding{Severity: Missing, File: l.path(layout.AnchorsDir), Advice: adviceRole,
			Text: fmt.Sprintf(text, "a time-stamp under a trusted root", entries(l.stampedTo), last)})
	}
	l.judgeRevoked(quorum)
}

// judgeRevoked takes what revoked keys signed for unknown, but for what an anchor shows to be older than the revocation.
func (l *logCheck) judgeRevoked(quorum int64) {
	l.sound = map[string]int64{}
	for id, since := range revocations(l.c.policy.Trust) {
		stamped, _ := l.anchors.stampedSize(since)
		l.sound[id] = max(stamped, l.anchors.witnessedSize(quorum, since))
	}
	for _, id := range sortedKeys(l.keys) {
		if to, revoked := l.sound[id]; revoked && l.lastBy[id] >= to {
			l.signature.add(revokedFinding(l.path(layout.StatementFile(l.lastBy[id])), id, l.lastBy[id]))
		}
	}
	for _, k := range l.gen.keys.LogKeys(l.size) {
		id := logKeyID(k)
		if to, revoked := l.sound[id]; revoked && l.size > to {
			l.log.add(revokedFinding(l.path(layout.Checkpoint), id, l.size-1))
		}
	}
}

// logKeyID is the identifier of a log's key.
func logKeyID(k record.LogKey) string {
	der, err := base64.StdEncoding.DecodeString(k.PublicKey)
	if err != nil {
		return "" // a genesis with such a key is not accepted
	}
	return sign.KeyID(der)
}

func revokedFinding(file, keyID string, index int64) Finding {
	return Finding{Severity: Missing, File: file, Field: "keyid", Found: keyID,
		Text:   fmt.Sprintf("key %s is revoked, and no anchor shows that it signed entry %d before that", keyID, index),
		Advice: "ask who revoked the key what became known of it; a time-stamp or a witness from before counts, if one can be found"}
}

// revoked adds to l what a folder alone cannot show: that its record was signed before the key was revoked.
func (f *folder) revoked() {
	if f.by.key.IsZero() {
		return
	}
	id := f.by.key.KeyID()
	name := within(f.dir, layout.Statement)
	if f.in != nil {
		if to, revoked := f.in.sound[id]; revoked && f.index >= to {
			f.signature.add(revokedFinding(name, id, f.index))
		}
		return
	}
	revoked := revocations(f.c.policy.Trust)
	for _, id := range append(f.gen.vouchers(), id) {
		if _, ok := revoked[id]; ok {
			f.signature.add(revokedFinding(name, id, f.index))
		}
	}
	for _, k := range f.gen.keys.LogKeys(f.size) {
		if _, ok := revoked[logKeyID(k)]; ok {
			f.log.add(revokedFinding(within(f.dir, layout.Proof), logKeyID(k), f.index))
		}
	}
}

// requires reports whether the policy requires it.
func (p Policy) requires(what string) bool { return slices.Contains(p.Require, what) }

// requireOfFolder says what a folder alone lacks of what was required.
func (c *checker) requireOfFolder(dir string) {
	const text = "%s is required; it lies with the log of the case, which is not part of this folder"
	if c.policy.requires(RequireWitness) {
		c.lines[4].add(Finding{Severity: Missing, File: dir, Text: fmt.Sprintf(text, "a cosignature of witnesses"), Advice: "verify the case"})
	}
	if c.policy.requires(RequireTimeStamp) {
		c.lines[5].add(Finding{Severity: Missing, File: dir, Text: fmt.Sprintf(text, "a time-stamp"), Advice: "verify the case"})
	}
	if c.policy.requires(RequireHardware) {
		c.lines[2].add(Finding{Severity: Missing, File: dir, Text: fmt.Sprintf(text, "a key in a genuine TPM"), Advice: "verify the case"})
	}
}
