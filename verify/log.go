package verify

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/exhibit-forensics/exhibit/custody/attest"
	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/state"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// maxEntries bounds the logs this version checks: each entry costs a few file accesses and two signatures.
const maxEntries = 10_000_000

// maxUnreadable ends the check of a log that says it is long and is not there: it can be no more than unknown.
const maxUnreadable = 10_000

// imageRef is an acquisition, or a copy of one, that the log names.
type imageRef struct {
	exhibit, id string
	index       int64
	leaf        record.LeafHash
	keyID       string // that signed it
	acquired    bool   // it is no copy
}

// logCheck reads one log once, from the genesis to the newest entry, and holds everything in its folder against what
// follows from the statements.
type logCheck struct {
	c      *checker
	dir    string // of the log
	origin string
	gen    *genesis
	size   int64 // of the newest checkpoint

	signature, log, append, time line // the report's lines 2, 3, 4 and 5, as far as this log goes

	counter     *counterCheck // nil: the log has none
	tree        tree
	bundle      []byte        // the entry bundle being rebuilt
	diskEntries [][]byte      // of the same bundle, as it lies there
	diskHashes  []tlog.Hash   // of the same tile
	last        checkpointRef // the newest checkpoint that an event can have seen so far
	book        state.Book
	images      []imageRef
	undisclosed map[string]*undisclosed                      // by exhibit
	followed    int64                                        // closed fields, of all exhibits
	attachments map[string]map[record.Digest][]attachmentRef // by exhibit and SHA-256
	erased      map[string][]state.Erased                    // by exhibit: what an order had erased
	keys        map[string]bool                              // that signed
	lastBy      map[string]int64                             // the newest entry by each of them
	anchors     anchors
	quotes      quotes
	witnessedTo int64 // so many entries a quorum of witnesses saw
	stampedTo   int64 // so many a time-stamp authority
	stampedBy   stamped
	sound       map[string]int64 // of each revoked key: entries before this were signed before its revocation
	checkpoints int64
	unreadable  int64 // statements that are missing or cannot be read
	cut         bool  // too many of them: not every entry was looked at
	beyond      int64 // files of an append that did not come to its end
	pending     bool
	changed     bool         // the keys, by the entry that was looked at last
	closed      *closing     // nil: no entry closed it
	several     *severalLogs // nil: the case has no other log
	foreign     bool         // another station or agency wrote it, and keeps the images and attachments it names
	seen        []sighting   // of other logs
	seenTo      int64        // so many entries another log of the case took in
}

type checkpointRef struct {
	size        int64
	digest      record.Digest
	certificate record.Digest // of the counter; zero when there is none
}

// checkLog checks the log of that origin. The error is that of the context.
func (c *checker) checkLog(origin string, several bool) (*logCheck, error) {
	l := &logCheck{c: c, dir: layout.LogDir(origin), origin: origin, keys: map[string]bool{}, lastBy: map[string]int64{},
		undisclosed: map[string]*undisclosed{}, attachments: map[string]map[record.Digest][]attachmentRef{}}
	l.quotes = quotes{named: map[record.Digest]int64{}, clocks: map[int64]attest.Clock{}, status: map[int64]Status{}}
	if several {
		l.several = new(severalLogs)
	}
	l.tree.full = func(level int, n int64, hashes []tlog.Hash) { l.compareTile(level, n, len(hashes), tileBytes(hashes)) }
	if !l.readGenesis() {
		return l, nil
	}
	if err := l.readNewest(); err != nil || l.size == 0 {
		return l, err
	}
	l.listAnchors()
	if err := l.entries(); err != nil {
		return nil, err
	}
	if l.cut {
		l.judgeRevoked(0)
		return l, l.strangers()
	}
	l.checkAnchors()
	l.judgeAnchors()
	l.tree.finish()
	if l.tree.size%tileWidth != 0 {
		l.compareTile(-1, l.tree.size/tileWidth, int(l.tree.size%tileWidth), l.bundle)
	}
	return l, l.strangers()
}

func (l *logCheck) path(name string) string { return within(l.dir, name) }

func (l *logCheck) readGenesis() bool {
	name := l.path(layout.StatementFile(0))
	b, err := l.c.fsys.readFile(name, layout.MaxEnvelope)
	if err != nil {
		l.signature.add(fromError(name, err))
		return false
	}
	if l.gen, err = readGenesis(b, l.c.policy.Trust); err != nil {
		l.signature.add(fromError(name, err))
		return false
	}
	if l.gen.opened.Origin != l.origin {
		l.signature.add(mismatch(name, "origin", l.origin, l.gen.opened.Origin, "the genesis is that of another log"))
		return false
	}
	l.book.Person = l.gen.keys.Person
	l.readCounter()
	l.gen.openings = l.c.checkOpenings(l.path(layout.PersonalFile(0)), l.gen.payload, &l.signature)
	return true
}

// openCheckpoint reads a checkpoint and verifies every line that is in force at its size, with keys; nil are those that the statements
// under it lead to.
func (l *logCheck) openCheckpoint(name string, keys *ledger.Keys) (note []byte, cp ledger.Checkpoint, err error) {
	if note, err = l.c.fsys.readFile(name, layout.MaxCheckpoint); err != nil {
		return nil, cp, err
	}
	if keys == nil {
		keys = l.newestKeys(note)
	}
	cp, err = keys.OpenCheckpoint(note)
	return note, cp, content(err)
}

// readNewest learns the size of the log: from `checkpoint`, or when that is missing or damaged from the largest name in
// checkpoints/. It also looks for what an interrupted append left.
func (l *logCheck) readNewest() error {
	largest, err := l.listCheckpoints()
	if err != nil {
		return err
	}
	l.readPending()
	name := l.path(layout.Checkpoint)
	note, cp, err := l.openCheckpoint(name, nil)
	if err != nil {
		l.log.add(fromError(name, err))
		l.size = largest
	} else {
		l.size = cp.Size
	}
	switch {
	case l.size > maxEntries:
		l.log.add(Finding{Severity: Missing, File: name, Text: fmt.Sprintf("the log has %d entries; this program checks at most %d", l.size, int64(maxEntries)), Advice: adviceNewer})
		l.size = 0
	case largest > l.size && l.pending:
		l.beyond++
	case largest > l.size:
		f := mismatch(l.path(layout.CheckpointFile(largest)), "", fmt.Sprint(l.size), fmt.Sprint(largest),
			"a checkpoint lies here that is newer than the newest: the log was cut back, or the file is foreign")
		f.Advice = adviceLog
		l.append.add(f)
	}
	if err == nil && l.size > 0 {
		l.compareNewest(name, note)
	}
	return nil
}

func (l *logCheck) compareNewest(name string, note []byte) {
	other := l.path(layout.CheckpointFile(l.size))
	b, err := l.c.fsys.readFile(other, layout.MaxCheckpoint)
	if err != nil {
		l.log.add(fromError(other, err))
	} else if !bytes.Equal(b, note) {
		l.log.add(mismatch(name, "", "", "", fmt.Sprintf("it differs from %q: there are never two checkpoints of one size", other)))
	}
}

// listCheckpoints goes through the folder in portions, for it holds a name for each append, and returns the largest size.
func (l *logCheck) listCheckpoints() (largest int64, err error) {
	dir := l.path(layout.CheckpointsDir)
	err = l.c.fsys.eachEntry(l.c.ctx, dir, func(e fs.DirEntry) {
		size, err := strconv.ParseInt(e.Name(), 10, 64)
		name := within(dir, e.Name())
		switch {
		case !e.Type().IsRegular() && !e.IsDir():
			l.log.add(fromError(name, fmt.Errorf("%q is %s: %w", e.Name(), kindOf(e.Type()), errNotPlain)))
		case err != nil || size < 1 || strconv.FormatInt(size, 10) != e.Name():
			l.c.uncovered(name)
		default:
			largest = max(largest, size)
		}
	})
	if l.c.ctx.Err() != nil {
		return 0, l.c.ctx.Err()
	}
	if err != nil {
		l.log.add(fromError(dir, err))
	}
	return largest, nil
}

func (l *logCheck) readPending() {
	name := l.path(layout.Pending)
	b, err := l.c.fsys.readFile(name, layout.MaxPending)
	if isMissing(err) {
		return
	}
	var note []byte
	if err == nil {
		note, _, err = ledger.ParsePending(b)
	}
	if err == nil {
		_, err = l.newestKeys(note).OpenCheckpoint(note)
		err = content(err)
	}
	if err != nil {
		l.log.add(fromError(name, err))
		return
	}
	l.pending = true
	l.log.add(Finding{Severity: Missing, File: name, Text: "an append was interrupted: a signed checkpoint waits to be published", Advice: adviceAppend})
}

// entries goes through the log in portions: the costly work on several cores, the order-dependent work after it.
func (l *logCheck) entries() error {
	l.c.phase("log", -1)
	for next := int64(0); next < l.size; {
		loaded, err := l.load(next, min(next+portion, l.size))
		if err != nil {
			return err
		}
		l.changed = false
		for _, e := range loaded {
			l.entry(next, e)
			if next++; l.changed {
				break // the rest was read with the old keys
			}
		}
		if l.unreadable > maxUnreadable {
			l.log.add(Finding{Severity: Missing, File: l.path(layout.StatementDir), Text: fmt.Sprintf("%d statements are missing or cannot be read: entries from %d on were not checked", l.unreadable, l.tree.size),
				Advice: adviceMissing})
			l.cut = true
			return nil
		}
	}
	return nil
}

// entry takes the next entry of the log.
func (l *logCheck) entry(i int64, e loadedEntry) {
	if i%tileWidth == 0 {
		l.startTile(i)
	}
	entry, ok := l.agree(i, e)
	leaf := ledger.LeafHash(entry)
	if at := int(i % tileWidth); !ok && at < len(l.diskHashes) {
		leaf = record.LeafHash(l.diskHashes[at])
	}
	l.bundle = append(binary.BigEndian.AppendUint16(l.bundle, uint16(len(entry))), entry...)
	if i%tileWidth == tileWidth-1 {
		l.compareTile(-1, i/tileWidth, tileWidth, l.bundle)
	}
	l.tree.add(tlog.Hash(leaf))
	if l.anchors.wanted[i+1] {
		l.anchors.roots[i+1] = ledger.Checkpoint{Origin: l.origin, Size: i + 1, Root: l.tree.root()}
	}
	if l.several != nil {
		l.several.roots = append(l.several.roots, l.tree.root())
	}
	l.statement(i, leaf, &e)
	l.checkpoint(i+1, e)
}

// startTile reads what lies on the disk for the next 256 entries. It serves only where a statement is missing or wrong:
// then the rest of the log can still be checked.
func (l *logCheck) startTile(i int64) {
	l.bundle, l.diskEntries, l.diskHashes = l.bundle[:0], nil, nil
	width := int(min(l.size-i, tileWidth))
	if b, err := l.c.fsys.readFile(l.path(layout.TilePath(-1, i/tileWidth, width)), layout.MaxBundle); err == nil {
		l.diskEntries = splitBundle(b)
	}
	if b, err := l.c.fsys.readFile(l.path(layout.TilePath(0, i/tileWidth, width)), layout.MaxTile); err == nil {
		for ; len(b) >= tlog.HashSize; b = b[tlog.HashSize:] {
			l.diskHashes = append(l.diskHashes, tlog.Hash(b[:tlog.HashSize]))
		}
	}
}

// agree returns the entry to go on with, and whether there is one. It is the statement's, unless statement and log
// disagree and both files of the log agree with each other.
func (l *logCheck) agree(i int64, e loadedEntry) (entry []byte, ok bool) {
	at := int(i % tileWidth)
	var disk []byte
	if at < len(l.diskEntries) {
		disk = l.diskEntries[at]
	}
	if e.entry == nil || bytes.Equal(e.entry, disk) {
		return disk, disk != nil
	}
	if disk == nil || at >= len(l.diskHashes) || ledger.LeafHash(disk) != record.LeafHash(l.diskHashes[at]) {
		return e.entry, true // the tile or bundle is damaged, which its own comparison says
	}
	f := mismatch(l.path(layout.StatementFile(i)), "", record.LeafHash(l.diskHashes[at]).String(), e.leaf.String(),
		fmt.Sprintf("statement %d is not the one that was logged", i))
	f.Advice = adviceLog
	l.log.add(f)
	return disk, true
}

// statement takes what the statement says, and where it stands.
func (l *logCheck) statement(i int64, leaf record.LeafHash, e *loadedEntry) {
	name := l.path(layout.StatementFile(i))
	for _, f := range e.openings.findings {
		l.signature.add(f)
	}
	if e.err != nil {
		l.signature.add(l.unadmitted(name, e.err))
		l.unreadable++
		return
	}
	l.signature.checked++
	l.log.checked++
	l.keys[e.keyID], l.lastBy[e.keyID] = true, i
	if i == 0 {
		return
	}
	if l.afterClosing(i, name, e) {
		return
	}
	event := state.LoggedEvent{Index: i, Leaf: leaf, KeyID: e.keyID, Event: e.event, Openings: e.revealed}
	if l.several != nil && (e.event != nil || e.anchored != nil) {
		l.several.keep(i, *e, leaf, event)
	}
	if e.state != nil {
		l.header(i, name, *e.state)
	}
	switch {
	case e.anchored != nil:
		l.seen = append(l.seen, sighting{i, e.anchored})
		return
	case e.change != nil:
		l.changeKeys(i, e)
		return
	case e.event == nil:
		l.log.add(mismatch(name, "predicateType", "", "", fmt.Sprintf("entry %d opens a case a second time", i)))
		return
	}
	if l.several == nil {
		l.book.Add(event)
	}
	l.attached(i, e.event)
	l.disclosed(i, leaf, *e)
	if r := recordOf(e.event); r != nil {
		l.images = append(l.images, imageRef{r.event.Exhibit, r.image.ID, i, leaf, e.keyID, r.acquired != nil})
		l.wait(i)
	}
}

// header requires that the signer saw the checkpoint that preceded the statement.
func (l *logCheck) header(i int64, name string, s record.LogState) {
	l.attested(i, name, s)
	l.sameKeys(i, name, s)
	for _, d := range s.Anchors {
		if _, ok := l.anchors.named[d]; !ok {
			l.anchors.named[d] = i
		}
	}
	switch {
	case s.Origin != l.origin:
		l.log.add(mismatch(name, "event.log.origin", l.origin, s.Origin, "the event was signed for another log"))
	case s.Size > i:
		l.log.add(mismatch(name, "event.log.size", fmt.Sprintf("at most %d", i), fmt.Sprint(s.Size), "the event names a checkpoint that comes after it"))
	case s.Size > l.last.size:
		file := l.path(layout.CheckpointFile(s.Size))
		f := fromError(file, fs.ErrNotExist)
		f.Text = fmt.Sprintf("the checkpoint of size %d, which entry %d names, is missing or damaged", s.Size, i)
		l.log.add(f)
		l.missed(s.Size)
	case s.Size < l.last.size:
		l.log.add(mismatch(name, "event.log.size", fmt.Sprint(l.last.size), fmt.Sprint(s.Size),
			"the event names an older checkpoint than the one that preceded it: it was signed on another copy of the log, or put in later"))
	case s.Checkpoint != l.last.digest:
		l.log.add(mismatch(name, "event.log.checkpoint", l.last.digest.String(), s.Checkpoint.String(),
			fmt.Sprintf("the event names another checkpoint of size %d than the one here: there were two logs", s.Size)))
	}
}

// checkpoint holds the checkpoint of that size, if there is one, against the root so far.
func (l *logCheck) checkpoint(size int64, e loadedEntry) {
	name := l.path(layout.CheckpointFile(size))
	switch {
	case isMissing(e.noteErr):
		return
	case e.noteErr != nil:
		l.log.add(fromError(name, e.noteErr))
		return
	case e.note.Size != size:
		l.log.add(mismatch(name, "size", fmt.Sprint(size), fmt.Sprint(e.note.Size), "the checkpoint is of another size than its name says"))
		return
	}
	l.checkpoints++
	l.last = checkpointRef{size, e.noteDigest, e.certificate.digest}
	l.count(size, e.certificate)
	if root := l.tree.root(); root != e.note.Root {
		f := mismatch(name, "root", root.String(), e.note.Root.String(),
			fmt.Sprintf("the first %d entries are not those this checkpoint was signed over: the log was rewritten, or a statement is damaged", size))
		f.Advice = adviceLog
		l.append.add(f)
		return
	}
	l.log.checked++
}

// strangers looks at everything in the folder that the log does not name.
func (l *logCheck) strangers() error {
	entries, err := l.c.fsys.readDir(l.dir, layout.MaxFolder)
	if err != nil {
		l.log.add(fromError(l.dir, err))
		return nil
	}
	for _, e := range entries {
		switch name := e.Name(); {
		case !e.IsDir() && !e.Type().IsRegular():
			l.log.add(fromError(l.path(name), fmt.Errorf("%q is %s: %w", name, kindOf(e.Type()), errNotPlain)))
		case name == layout.Checkpoint, name == layout.CheckpointsDir, name == layout.TileDir, name == layout.StatementDir, name == layout.AnchorsDir,
			name == layout.Pending, name == layout.AttestDir, name == layout.Heads, name == layout.HeadsDir, name == layout.Lock:
		default:
			l.c.uncovered(l.path(name))
		}
	}
	if err := l.checkLeftovers(); err != nil {
		return err
	}
	if err := l.strangeAttestations(); err != nil {
		return err
	}
	if err := l.walk(layout.StatementDir, 0, l.strangeStatement); err != nil {
		return err
	}
	if l.beyond > 0 {
		l.log.add(Finding{Severity: Missing, File: l.dir, Text: fmt.Sprintf("an append was interrupted: %s beyond the newest checkpoint", number(l.beyond, "file")), Advice: adviceAppend})
	}
	return nil
}

func (l *logCheck) strangeStatement(name string) {
	base := name[strings.LastIndexByte(name, '/')+1:]
	digits, _, _ := strings.Cut(base, ".")
	i, err := strconv.ParseInt(digits, 10, 64)
	switch {
	case err != nil || i < 0 || name != layout.StatementFile(i) && name != layout.PersonalFile(i):
		l.c.uncovered(l.path(name))
	case i >= l.size:
		l.beyond++
	}
}

func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errNotPlain) }
