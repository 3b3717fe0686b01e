package custody

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path/filepath"

	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// ExhibitFolder makes the folder of an exhibit when it lacks, and opens it. A new exhibit that is too much like another of
// the case is ErrExists, see alike. The caller closes the root; dir is the folder's path. A folder that this made and that
// is still empty when the case is closed is removed then.
func (c *Case) ExhibitFolder(number string) (root *durable.Root, dir string, err error) {
	if err := record.CheckExhibit(number); err != nil {
		return nil, "", err
	}
	name, err := layout.ExhibitDir(number)
	if err != nil {
		return nil, "", err
	}
	_, err = c.root.Lstat(name)
	absent := errors.Is(err, fs.ErrNotExist)
	if absent {
		err = c.unlikeOthers(number)
	}
	if err != nil {
		return nil, "", err
	}
	if err := c.root.MkdirAll(name); err != nil {
		return nil, "", err
	}
	if absent {
		c.mu.Lock()
		c.made = append(c.made, name)
		c.mu.Unlock()
	}
	if root, err = c.root.Sub(name); err != nil {
		return nil, "", err
	}
	return root, filepath.Join(c.dir, filepath.FromSlash(name)), nil
}

// removeEmpty removes the folders that ExhibitFolder made and nothing was put into.
func (c *Case) removeEmpty() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, name := range c.made {
		entries, err := fs.ReadDir(c.root.FS(), name)
		if err == nil && len(entries) == 0 {
			err = c.root.Remove(name)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	c.made = nil
	return errors.Join(errs...)
}

// alike reports whether people take two different numbers for one another: many file systems could not hold both folders.
func alike(a, b string) bool { return a != b && record.FoldExhibit(a) == record.FoldExhibit(b) }

func errAlike(number, other string) error {
	return fmt.Errorf("exhibit %q: %w as %q, which differs only by the case of letters or by spaces", number, ErrExists, other)
}

// unlikeOthers requires that a number is not alike to that of another exhibit in the folder or, as far as it can be read,
// in the log.
func (c *Case) unlikeOthers(number string) error {
	folders, err := c.exhibitFolders()
	if err != nil {
		return err
	}
	for _, other := range folders {
		if alike(number, other) {
			return errAlike(number, other)
		}
	}
	for e, err := range c.Entries() {
		if err != nil {
			break // an image can be made all the same: the medium may not be there tomorrow
		}
		event, ok := e.Predicate.(record.Event)
		if ok && event.Header().Exhibit == number {
			break // it was compared when its chain began
		}
		if ok && alike(number, event.Header().Exhibit) {
			return errAlike(number, event.Header().Exhibit)
		}
	}
	return nil
}

// exhibitFolders returns the numbers of the exhibits that have a folder.
func (c *Case) exhibitFolders() ([]string, error) {
	entries, err := fs.ReadDir(c.root.FS(), layout.ExhibitsDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var numbers []string
	for _, e := range entries {
		number, err := layout.Decode(e.Name())
		if err != nil {
			number = e.Name() // not one of ours; on some file systems it stands in the way all the same
		}
		numbers = append(numbers, number)
	}
	return numbers, nil
}

// Entry is one logged statement, decoded but not verified.
type Entry struct {
	Index     int64
	Leaf      record.LeafHash
	KeyID     string
	Predicate record.Predicate
	Envelope  []byte
	Openings  record.Openings // nil when erased
	Log       string          // origin of the log, where it is not the home log
}

// Entries reads the home log's statements from the newest to the oldest. It checks the newest checkpoint and each
// entry's form, no more: to know that the log is sound use package verify.
func (c *Case) Entries() iter.Seq2[Entry, error] { return entriesOf(c.openLog) }

func entriesOf(open func() (*ledger.Log, error)) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		l, err := open()
		if err != nil {
			yield(Entry{}, err)
			return
		}
		for i := l.Size() - 1; i >= 0; i-- {
			e, err := readEntry(l, i)
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// Entry reads one statement of the home log, as Entries does.
func (c *Case) Entry(i int64) (Entry, error) {
	l, err := c.openLog()
	if err != nil {
		return Entry{}, err
	}
	return readEntry(l, i)
}

func (c *Case) openLog() (*ledger.Log, error) { return c.openHeld(c.home()) }

func (c *Case) home() Held { return Held{c.genesis.Origin, c.genesis, c.leaf} }

func readEntry(l *ledger.Log, i int64) (Entry, error) {
	fail := func(err error) (Entry, error) { return Entry{}, fmt.Errorf("log entry %d: %w", i, missing(err)) }
	envelope, err := l.Statement(i)
	if err != nil {
		return fail(err)
	}
	e, err := sign.ParseEnvelope(envelope)
	if err != nil {
		return fail(err)
	}
	p, err := record.Decode(e.Payload)
	if err != nil {
		return fail(err)
	}
	entry, err := l.Entry(i)
	if err != nil {
		return fail(err)
	}
	out := Entry{Index: i, Leaf: ledger.LeafHash(entry), KeyID: e.KeyID, Predicate: p, Envelope: envelope}
	b, err := l.Openings(i)
	if errors.Is(err, fs.ErrNotExist) {
		return out, nil
	}
	if err != nil {
		return fail(err)
	}
	if out.Openings, err = record.DecodeOpenings(b); err != nil {
		return fail(err)
	}
	if _, err := out.Openings.Check(e.Payload); err != nil {
		return fail(err)
	}
	return out, nil
}

// Logged is what the folder of an acquisition or a copy gets from the log, beside its own files.
type Logged struct {
	Index     int64
	Leaf      record.LeafHash
	Record    *record.Acquired // nil: it is that of a copy
	Copy      *record.Copied   // nil: it is that of an acquisition
	Openings  record.Openings  // nil when erased
	Statement []byte           // the envelope
	Personal  []byte           // the file of openings
	Proof     []byte           // inclusion under the newest checkpoint that is signed by the same keys
	Genesis   []byte           // the envelope of leaf 0

	Changes map[string][]byte // by their names in the folder: the changes of keys that the record counts on, and their proofs
	held    Held              // the log
}

// Image is what the record says of its image.
func (l *Logged) Image() record.Image {
	if l.Copy != nil {
		return l.Copy.Copy.Image()
	}
	return l.Record.Acquisition.Image()
}

// FindAcquisition looks for the record of an acquisition in the home log, newest first, and in those that it continues. found is
// false when they hold none: then it must be signed.
func (c *Case) FindAcquisition(exhibit, id string) (logged Logged, found bool, err error) {
	logged, found, err = c.FindImage(exhibit, id)
	if found && logged.Record == nil {
		return Logged{}, false, fmt.Errorf("exhibit %q: %s is a copy: %w", exhibit, id, ErrRecorded)
	}
	return logged, found, err
}

// FindImage is FindAcquisition for the record of an acquisition or of a copy. Like Entries it checks no signature.
func (c *Case) FindImage(exhibit, id string) (logged Logged, found bool, err error) {
	e, found, err := c.findRecord(c.home(), exhibit, id)
	if err == nil && found {
		logged, err = c.imageFiles(e, c.home())
	}
	if err != nil || found || c.genesis.Continues == nil {
		return logged, found && err == nil, err
	}
	held, err := c.Logs()
	if err != nil {
		return Logged{}, false, err
	}
	own, err := c.own(held)
	if c.givenUp(err) { // an image that was just made is signed all the same
		return Logged{}, false, nil
	}
	if err != nil {
		return Logged{}, false, err
	}
	for _, h := range own[1:] {
		e, found, err := c.findRecord(h, exhibit, id)
		if c.givenUp(err) {
			break
		}
		if err != nil {
			return Logged{}, false, err
		}
		if found {
			logged, err = c.imageFiles(e, h)
			return logged, err == nil, err
		}
	}
	return Logged{}, false, nil
}

// givenUp reports whether err may come from a log that the home log continues: that one can be missing or damaged, which is why it was
// given up.
func (c *Case) givenUp(err error) bool {
	return c.genesis.Continues != nil && (errors.Is(err, record.ErrMalformed) || errors.Is(err, ErrMissing))
}

// findRecord looks for the record of an image in one log.
func (c *Case) findRecord(h Held, exhibit, id string) (Entry, bool, error) {
	for e, err := range entriesOf(func() (*ledger.Log, error) { return c.openHeld(h) }) {
		if err != nil {
			return Entry{}, false, err
		}
		event, ok := e.Predicate.(record.Event)
		if !ok || event.Header().Exhibit != exhibit {
			continue
		}
		if have, ok := imageID(event); ok && have == id {
			return e, true, nil
		}
		if event.Header().Number == 1 {
			break // the exhibit's first event
		}
	}
	return Entry{}, false, nil
}

// recorded returns the entry of an acquisition that the log has already, if it is the same acquisition.
func (c *Case) recorded(want *record.Acquired) (ledger.Logged, error) {
	e, found, err := c.findRecord(c.home(), want.Event.Exhibit, want.Acquisition.ID)
	if err != nil {
		return ledger.Logged{}, err
	}
	have, ok := e.Predicate.(*record.Acquired)
	if !found || !ok || !sameJSON(have.Acquisition, want.Acquisition) || !sameJSON(have.Circumstances, want.Circumstances) {
		return ledger.Logged{}, fmt.Errorf("exhibit %q, acquisition %s: %w", want.Event.Exhibit, want.Acquisition.ID, ErrRecorded)
	}
	files, err := c.imageFiles(e, c.home())
	if err != nil {
		return ledger.Logged{}, err
	}
	return ledger.Logged{Index: e.Index, Leaf: e.Leaf, Envelope: e.Envelope, Openings: e.Openings, Proof: files.Proof}, nil
}

func sameJSON(a, b any) bool {
	x, err := record.EncodeJSON(a)
	if err != nil {
		return false
	}
	y, err := record.EncodeJSON(b)
	return err == nil && bytes.Equal(x, y)
}

func (c *Case) imageFiles(e Entry, h Held) (Logged, error) {
	out := Logged{Index: e.Index, Leaf: e.Leaf, Openings: e.Openings, Statement: e.Envelope, held: h}
	switch p := e.Predicate.(type) {
	case *record.Acquired:
		out.Record = p
	case *record.Copied:
		out.Copy = p
	}
	var err error
	if out.Personal, err = e.Openings.Encode(); err != nil {
		return Logged{}, err
	}
	l, err := c.openHeld(h)
	if err != nil {
		return Logged{}, err
	}
	changes := l.Keys().Changes()
	for _, change := range changes {
		if change.Index > e.Index { // its own checkpoint, and what follows, needs keys that the folder does not know
			if l, err = l.At(change.Index); err != nil {
				return Logged{}, err
			}
			break
		}
	}
	if out.Proof, err = l.EncodeProof(e.Index); err != nil {
		return Logged{}, err
	}
	out.Changes = map[string][]byte{}
	for _, change := range changes {
		if change.Index > e.Index {
			break
		}
		if out.Changes[layout.ChangeFile(change.Index)], err = l.Statement(change.Index); err != nil {
			return Logged{}, err
		}
		if out.Changes[layout.ChangeProof(change.Index)], err = l.EncodeProof(change.Index); err != nil {
			return Logged{}, err
		}
	}
	out.Genesis, err = l.Statement(0)
	return out, err
}

// CheckSignature requires the statement that a log has of an image to be signed by a key that the log's genesis admits for it,
// and to be the one whose leaf the log has. l is as FindImage returned it. Who makes something that points at it does so first.
func (c *Case) CheckSignature(l *Logged) error {
	e, err := sign.ParseEnvelope(l.Statement)
	if err != nil {
		return err
	}
	t := record.TypeAcquired
	if l.Copy != nil {
		t = record.TypeCopied
	}
	log, err := c.openHeld(l.held)
	if err != nil {
		return err
	}
	by, key, err := log.Keys().Signer(e.KeyID, l.Index)
	if err != nil || !by.MaySign(t) {
		return fmt.Errorf("log entry %d: %w: signed by key %s, which the case does not admit for %q", l.Index, sign.ErrSignature, e.KeyID, t)
	}
	if err := e.Verify(key); err != nil {
		return err
	}
	entry, err := e.Entry(key)
	if err != nil {
		return err
	}
	if ledger.LeafHash(entry) != l.Leaf {
		return fmt.Errorf("log entry %d: %w: the statement is not the one that was logged", l.Index, record.ErrMalformed)
	}
	return nil
}
