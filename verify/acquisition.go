package verify

import (
	"bytes"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// folder is the check of one acquisition folder: by the log that names it, or alone, by its own proof and genesis.
type folder struct {
	c   *checker
	dir string

	in         *logCheck       // nil: alone
	index      int64           // in the log; of a folder alone, from its proof
	size       int64           // of the checkpoint
	checkpoint []byte          // of a folder alone, from its proof
	leaf       record.LeafHash // the same
	envelope   []byte          // the statement that counts
	payload    []byte          // of it
	gen        *genesis
	by         signer
	rec        *imageRecord // nil: there is none that can be read
	openings   record.Openings
	erased     []ErasedFacts // by order, and not here
	found      []record.Digest

	image, signature, log line // the report's lines 1, 2 and 3
}

// imageRecord is the record of an acquisition or of a copy: what is checked of a folder is the same.
type imageRecord struct {
	event    *record.Header
	image    record.Image
	acquired *record.Acquisition // nil of a copy
	copied   *record.Copy        // nil of an acquisition
}

// recordOf is nil where the predicate is not about an image.
func recordOf(p record.Predicate) *imageRecord {
	switch p := p.(type) {
	case *record.Acquired:
		return &imageRecord{event: &p.Event, image: p.Acquisition.Image(), acquired: &p.Acquisition}
	case *record.Copied:
		return &imageRecord{event: &p.Event, image: p.Copy.Image(), copied: &p.Copy}
	}
	return nil
}

// checkFolder checks the folder that the log names in ref. The error is that of the context.
func (c *checker) checkFolder(ctx context.Context, l *logCheck, ref imageRef) (*folder, error) {
	name, err := layout.ExhibitDir(ref.exhibit)
	dir := within(name, ref.id)
	f := &folder{c: c, dir: dir, in: l, index: ref.index, size: l.size, gen: l.gen}
	if err != nil {
		f.log.add(fromError(l.path(layout.StatementFile(ref.index)), content(err)))
		return f, nil
	}
	file := l.path(layout.StatementFile(ref.index))
	if f.envelope, err = c.fsys.readFile(file, layout.MaxEnvelope); err != nil {
		f.log.add(fromError(file, err))
		return f, nil
	}
	s, err := l.gen.readStatement(f.envelope, ref.index)
	if err != nil {
		f.signature.add(fromError(file, err))
		return f, nil
	}
	if f.rec = recordOf(s.predicate); f.rec == nil {
		f.log.add(fromError(file, content(fmt.Errorf("the statement changed while it was checked"))))
		return f, nil
	}
	f.by, f.payload = s.by, s.payload
	f.sameStatement()
	f.proof(s.entry)
	f.openings = c.checkOpenings(within(dir, layout.Personal), s.payload, &f.signature)
	if f.openings == nil {
		f.openings = c.checkOpenings(l.path(layout.PersonalFile(ref.index)), s.payload, &line{})
	}
	f.sameGenesis()
	f.sameChanges()
	f.revoked()
	return f, f.files(ctx)
}

// sameStatement requires the folder's copy of the record to be the log's.
func (f *folder) sameStatement() {
	name := within(f.dir, layout.Statement)
	b, err := f.c.fsys.readFile(name, layout.MaxEnvelope)
	if err != nil {
		f.log.add(fromError(name, err))
		return
	}
	if !bytes.Equal(b, f.envelope) {
		f.log.add(mismatch(name, "", "", "", fmt.Sprintf("it differs from the statement that was logged, %q", f.in.path(layout.StatementFile(f.index)))))
		return
	}
	f.signature.checked++
	f.log.checked++
}

func (f *folder) sameGenesis() {
	name := within(f.dir, layout.Genesis)
	b, err := f.c.fsys.readFile(name, layout.MaxEnvelope)
	if err != nil {
		f.log.add(fromError(name, err))
		return
	}
	if !bytes.Equal(b, f.gen.envelope) {
		f.log.add(mismatch(name, "", "", "", "it differs from the genesis of the log that names this folder"))
		return
	}
	f.log.checked++
}

// proof checks the folder's inclusion proof, and in a case that its checkpoint is one of the log's.
func (f *folder) proof(entry []byte) {
	name := within(f.dir, layout.Proof)
	b, err := f.c.fsys.readFile(name, layout.MaxProof)
	if err != nil {
		f.log.add(fromError(name, err))
		return
	}
	index, size, checkpoint, err := f.gen.keys.CheckProof(b, entry)
	if err != nil {
		f.log.add(fromError(name, content(err)))
		return
	}
	if f.in == nil {
		f.index, f.size, f.checkpoint = index, size, checkpoint
		f.log.checked++
		return
	}
	file := f.in.path(layout.CheckpointFile(size))
	have, err := f.c.fsys.readFile(file, layout.MaxCheckpoint)
	switch {
	case index != f.index:
		f.log.add(mismatch(name, "index", fmt.Sprint(f.index), fmt.Sprint(index), "the proof is for another entry of the log"))
	case size > f.size:
		m := mismatch(name, "size", fmt.Sprintf("at most %d", f.size), fmt.Sprint(size),
			"this folder was sealed under a checkpoint that the log no longer has: the log was cut back")
		m.Advice = adviceLog
		f.log.add(m)
	case err != nil:
		f.log.add(fromError(file, err))
	case !bytes.Equal(have, checkpoint):
		f.log.add(mismatch(name, "checkpoint", "", "", fmt.Sprintf("the proof's checkpoint differs from %q: there were two logs, or one of the two is damaged", file)))
	default:
		f.log.checked++
	}
}

// checkAlone checks an acquisition folder by what lies in it.
func (c *checker) checkAlone(ctx context.Context, dir string) (*folder, error) {
	f := &folder{c: c, dir: dir}
	name := within(dir, layout.Genesis)
	b, err := c.fsys.readFile(name, layout.MaxEnvelope)
	if err == nil {
		f.gen, err = readGenesis(b, c.policy.Trust)
	}
	if err != nil {
		f.signature.add(fromError(name, err))
		f.log.add(Finding{Severity: Missing, File: name, Text: "without a sound genesis nothing says which keys the log has"})
	}
	name = within(dir, layout.Statement)
	if f.envelope, err = c.fsys.readFile(name, layout.MaxEnvelope); err != nil {
		f.signature.add(fromError(name, err))
		f.image.add(Finding{Severity: Missing, File: name, Text: "without the record nothing says which bytes were acquired", Advice: adviceMissing})
		return f, nil
	}
	f.statementAlone(name)
	if f.rec == nil {
		f.image.add(Finding{Severity: Missing, File: name, Text: "without a readable record nothing says which bytes were acquired", Advice: adviceCopy})
		return f, nil
	}
	return f, f.files(ctx)
}

// statementAlone checks the record, its openings and its proof against the folder's genesis. Where that fails the record
// is still read, so that line 1 can compare the image with it.
func (f *folder) statementAlone(name string) {
	if f.gen == nil {
		var err error
		if f.rec, err = readUnsignedBy(f.envelope); err != nil {
			f.signature.add(fromError(name, err))
		}
		return
	}
	i, err := f.changesAlone()
	if err != nil {
		return
	}
	s, err := f.gen.readStatement(f.envelope, i)
	if err != nil {
		f.signature.add(fromError(name, err))
		if f.rec, err = readUnsignedBy(f.envelope); err != nil {
			f.rec = nil
		}
		return
	}
	if f.rec = recordOf(s.predicate); f.rec == nil {
		f.signature.add(mismatch(name, "predicateType", string(record.TypeAcquired), string(s.predicate.Type()), "the statement is not the record of an acquisition"))
		return
	}
	f.by, f.payload, f.leaf = s.by, s.payload, s.leaf
	f.signature.checked++
	if got, want := f.rec.event.Log.Origin, f.gen.opened.Origin; got != want {
		f.log.add(mismatch(name, "event.log.origin", want, got, "the record was signed for another log"))
	}
	f.openings = f.c.checkOpenings(within(f.dir, layout.Personal), s.payload, &f.signature)
	f.proof(s.entry)
	f.revoked()
	if n := f.rec.event.Log.Size; f.size > 0 && n > f.index {
		f.log.add(mismatch(name, "event.log.size", fmt.Sprintf("at most %d", f.index), fmt.Sprint(n), "the record names a checkpoint that comes after it"))
	}
}

// files checks line 1, and lists what the record does not cover.
func (f *folder) files(ctx context.Context) error {
	id := f.rec.image.ID
	if name := f.c.folderName(f.dir); name != "" && name != id {
		f.image.add(f.otherName(name, id))
	}
	known := map[string]bool{layout.Statement: true, layout.Personal: true, layout.Proof: true, layout.Genesis: true}
	for _, file := range f.rec.image.Files {
		known[file.Name] = true
	}
	if f.gen != nil {
		for _, c := range f.gen.keys.Changes() {
			if c.Index < f.index {
				known[layout.ChangeFile(c.Index)], known[layout.ChangeProof(c.Index)] = true, true
			}
		}
	}
	entries, err := f.c.fsys.readDir(f.dir, layout.MaxFolder)
	if err != nil {
		f.image.add(fromError(f.dir, err))
		return nil
	}
	for _, e := range entries {
		if !known[e.Name()] {
			f.c.uncovered(within(f.dir, e.Name()))
		}
	}
	c := &files{fsys: f.c.fsys, dir: f.dir, a: &f.rec.image, workers: f.c.policy.Workers, progress: f.c.done}
	if f.in != nil {
		c.erased = f.in.erasedBy(f.rec.event.Exhibit, id)
	}
	f.c.phase("image "+id, c.a.SizeBytes)
	f.note(&c.line)
	err = c.check(ctx)
	f.image.merge(&c.line)
	f.erased = c.gone
	slices.SortFunc(c.found, func(a, b record.Digest) int { return strings.Compare(string(a.Algorithm()), string(b.Algorithm())) })
	f.found = c.found
	return err
}

// otherName is the finding about a folder that is not called as its record says. Whoever asks about one acquisition, or a
// case, must not be told that another one, which was put in its place, holds.
func (f *folder) otherName(name, id string) Finding {
	out := mismatch(f.dir, "acquisition.id", id, name, "the folder is not called as the record says: another acquisition lies in its place")
	if f.in == nil && !record.ValidAcquisitionID(name) {
		out.Severity, out.Text = Missing, "the folder is not called as the record says"
		out.Advice = "if " + id + " is the acquisition that you mean, give the folder that name and verify it again"
	}
	return out
}

// facts are what the record says, for the report.
func (f *folder) facts() AcquisitionFacts {
	out := AcquisitionFacts{Folder: f.dir, ID: path.Base(f.dir), Holder: "unknown", Examiner: "unknown", Assurance: "unknown",
		Image: f.image.status(), Signature: f.signature.status(), Log: f.log.status(), Index: -1, Digests: []record.MediaDigest{}}
	if f.size > 0 {
		out.Index = f.index
	}
	if f.rec == nil {
		return out
	}
	i := &f.rec.image
	out.Erased, out.Found = f.erased, f.found
	out.Exhibit, out.ID, out.SizeBytes, out.Digests, out.SignedAt = f.rec.event.Exhibit, i.ID, i.SizeBytes, i.Digests, f.rec.event.Time
	if f.rec.copied != nil {
		out.CopyOf = f.rec.copied.Original.ID
	}
	if v, ok := f.openings.Value("/circumstances/examiner"); ok {
		out.Examiner = v
	}
	if !f.by.key.IsZero() {
		out.KeyID, out.KeyKind, out.Holder, out.Assurance = f.by.key.KeyID(), f.by.Kind, f.gen.holder(f.by), AssuranceSoftware
	}
	return out
}
