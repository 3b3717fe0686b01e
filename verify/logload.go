package verify

import (
	"context"

	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// portion is how many entries are prepared at once. It bounds the memory: each can be as large as an envelope may be.
const portion = 64

// loadedEntry is what can be said of an entry without its neighbours.
type loadedEntry struct {
	err      error // why the statement cannot be used
	keyID    string
	entry    []byte // nil when there is no valid signature
	leaf     record.LeafHash
	event    record.Event     // nil for a genesis, an anchor, and what closes the log
	anchored *record.Anchored // of an anchor
	change   []byte           // of a change of keys the envelope
	state    *record.LogState // what its signer saw of the log
	ending   *record.CaseClosed
	openings line
	revealed record.Openings
	closed   []string // pointers of the personal fields that are not revealed

	note        ledger.Checkpoint // of size i+1
	noteDigest  record.Digest
	noteErr     error // fs.ErrNotExist: there is none
	certificate certificate
}

// load prepares the entries from (inclusive) to to (exclusive), on all cores.
func (l *logCheck) load(from, to int64) ([]loadedEntry, error) {
	out := make([]loadedEntry, to-from)
	err := parallel(l.c.ctx, l.c.workers(), len(out), func(i int) { out[i] = l.loadOne(from + int64(i)) })
	return out, err
}

// loadNote reads the checkpoint that follows entry i, if there is one.
func (l *logCheck) loadNote(i int64, e *loadedEntry) {
	note, cp, err := l.openCheckpoint(l.path(layout.CheckpointFile(i+1)), l.gen.keys)
	if e.noteErr = err; err == nil {
		e.note, e.noteDigest = cp, record.SHA256Of(note)
		if l.counter != nil {
			e.certificate = l.loadCertificate(cp)
		}
	}
}

func (l *logCheck) loadOne(i int64) (e loadedEntry) {
	l.loadNote(i, &e)
	if i == 0 {
		e.entry, e.leaf, e.keyID = l.gen.entry, l.gen.leaf, l.gen.by
		return e
	}
	envelope, err := l.c.fsys.readFile(l.path(layout.StatementFile(i)), layout.MaxEnvelope)
	if err != nil {
		e.err = err
		return e
	}
	s, err := l.gen.readStatement(envelope, i)
	e.err, e.entry, e.leaf = err, s.entry, s.leaf
	if err != nil {
		return e
	}
	e.keyID = s.by.key.KeyID()
	e.revealed = l.c.checkOpenings(l.path(layout.PersonalFile(i)), s.payload, &e.openings)
	e.closed, e.err = e.revealed.Closed(s.payload)
	e.state = record.StateOf(s.predicate)
	switch p := s.predicate.(type) {
	case *record.Acquired: // of a record only what the chain needs is kept
		a := &p.Acquisition
		e.event = &record.Acquired{Event: p.Event, Acquisition: record.Acquisition{ID: a.ID, Digests: a.Digests, Files: chainFiles(a.Files),
			Medium: record.Medium{SizeBytes: a.Medium.SizeBytes}, TakenOver: a.TakenOver, Unread: a.Unread}}
	case *record.Copied:
		m := &p.Copy
		e.event = &record.Copied{Event: p.Event, Copy: record.Copy{ID: m.ID, Digests: m.Digests, Files: chainFiles(m.Files), Original: m.Original,
			SizeBytes: m.SizeBytes, Source: m.Source, TakenOver: m.TakenOver, Unread: m.Unread}}
	case *record.Anchored:
		e.anchored = p
	case *record.KeysChanged:
		e.change = envelope
	case *record.CaseClosed:
		e.ending = p
	case record.Event:
		e.event = p
	}
	return e
}

// chainFiles keeps of the files of an image what an order to erase can name, and the lists by which a copy is held against
// its original.
func chainFiles(files []record.File) []record.File {
	var out []record.File
	for _, f := range files {
		switch {
		case f.Role == record.RoleMap || f.Role == record.RoleTakenOver:
			out = append(out, record.File{Name: f.Name, Role: f.Role, Digests: f.Digests})
		case record.Erasable(f.Role):
			out = append(out, record.File{Name: f.Name, Role: f.Role})
		}
	}
	return out
}

// parallel calls work for 0 to n-1 on several goroutines and returns when all have ended. The error is that of ctx.
func parallel(ctx context.Context, workers, n int, work func(i int)) error {
	next := make(chan int)
	done := make(chan struct{})
	workers = min(workers, n)
	for range workers {
		go func() {
			defer func() { done <- struct{}{} }()
			for i := range next {
				work(i)
			}
		}()
	}
	var err error
	for i := 0; i < n && err == nil; i++ {
		if err = ctx.Err(); err == nil {
			next <- i
		}
	}
	close(next)
	for range workers {
		<-done
	}
	return err
}
