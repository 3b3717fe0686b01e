package custody

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/custody/state"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// BehindError says that an extract brings no proof that its log goes on from what is known of it, or that a log is older than an
// extract of it.
type BehindError struct {
	Origin string
	Size   int64 // of the log as it is known here
}

// Error implements error.
func (e *BehindError) Error() string {
	return fmt.Sprintf("it does not show that log %s goes on from the %d entries that were seen of it", e.Origin, e.Size)
}

// HeldExtract is an extract that the case took in.
type HeldExtract struct {
	Name string // below the case folder
	*ledger.Extract
}

// hasExtracts reports whether the case took in an extract, as far as can be seen.
func (c *Case) hasExtracts() bool {
	entries, err := fs.ReadDir(c.root.FS(), layout.ExtractsDir)
	return err == nil && len(entries) > 0
}

// Extracts opens the extracts that the case took in, by origin and size. What each shows alone is checked, no more.
func (c *Case) Extracts() ([]HeldExtract, error) {
	var out []HeldExtract
	var total int64
	origins, err := fs.ReadDir(c.root.FS(), layout.ExtractsDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, o := range origins {
		if !o.IsDir() || !record.ValidOrigin(o.Name()) {
			continue // package verify says so
		}
		files, err := fs.ReadDir(c.root.FS(), layout.ExtractsDir+"/"+o.Name())
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			name := layout.ExtractsDir + "/" + o.Name() + "/" + f.Name()
			x, err := c.openExtract(name)
			if errors.Is(err, errNoExtract) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("%q: %w", name, err)
			}
			if total += x.Bytes; total > layout.MaxExtracts {
				return nil, fmt.Errorf("%w: the extracts of the case have more than %d bytes", record.ErrMalformed, int64(layout.MaxExtracts))
			}
			out = append(out, HeldExtract{name, x})
		}
	}
	slices.SortStableFunc(out, func(a, b HeldExtract) int {
		return cmp.Or(cmp.Compare(a.Origin, b.Origin), cmp.Compare(a.Size, b.Size))
	})
	return out, nil
}

// errNoExtract says that a file is not called as an extract is, such as one that is half written.
var errNoExtract = errors.New("not called as an extract is")

// openExtract opens a kept extract, which must be the one that its name says.
func (c *Case) openExtract(name string) (*ledger.Extract, error) {
	if !layout.IsExtractFile(name) {
		return nil, errNoExtract
	}
	b, err := c.root.ReadFile(name, layout.MaxExtract)
	if err != nil {
		return nil, err
	}
	if len(b) == 0 { // some file systems leave that of an import that was killed
		return nil, errNoExtract
	}
	x, err := ledger.OpenExtractFile(b)
	if err != nil {
		return nil, err
	}
	if want, err := layout.ExtractFile(x.Origin, x.Exhibit, x.Size, x.SHA256.Hex()); err != nil || want != name {
		return nil, fmt.Errorf("%w: it is not the extract that its name says", record.ErrMalformed)
	}
	return x, nil
}

// ImportExtract takes an extract of another log of the case in: file is the one file of it, of which everything is checked that
// it can show, and that its log goes on from all that is known of that log here; else the error is a *BehindError, or of two
// histories a *ledger.ForkError, and then both are kept. added is false if the very file is held already.
func (c *Case) ImportExtract(ctx context.Context, file []byte) (x *ledger.Extract, added bool, err error) {
	if x, err = ledger.OpenExtractFile(file); err != nil {
		return nil, false, err
	}
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	sum := x.SHA256.Hex()
	if err := c.fits(x); err != nil {
		return nil, false, c.keepForkExtract(x, file, sum, err)
	}
	if x.Origin == c.genesis.Origin {
		return nil, false, fmt.Errorf("%w: it is an extract of the case's own log", ErrExists)
	}
	name, err := layout.ExtractFile(x.Origin, x.Exhibit, x.Size, sum)
	if err != nil {
		return nil, false, err
	}
	if held, err := c.root.ReadFile(name, layout.MaxExtract); err == nil && bytes.Equal(held, file) {
		return x, false, nil
	}
	if err := c.root.MkdirAll(layout.ExtractsDir + "/" + x.Origin); err != nil {
		return nil, false, err
	}
	return x, true, c.root.CreateIdempotent(name, file)
}

// fits requires that an extract belongs to the case, and that its log is the one that is known here.
func (c *Case) fits(x *ledger.Extract) error {
	held, err := c.Logs()
	if err != nil {
		return err
	}
	kept, err := c.Extracts()
	if err != nil {
		return err
	}
	others := held
	for _, k := range kept {
		others = append(others, Held{k.Origin, k.Genesis, k.Leaf})
	}
	if x.Genesis.Case != c.genesis.Case {
		return fmt.Errorf("%w: %q, and this is %q", ErrStrange, x.Genesis.Case, c.genesis.Case)
	}
	related := false
	for _, o := range others {
		if o.Origin == x.Origin && o.Leaf != x.Leaf {
			return fmt.Errorf("%w: it begins with another genesis, of fingerprint %s, than the log of this name that is held, of fingerprint %s", record.ErrMalformed, x.Leaf, o.Leaf)
		}
		related = related || o.Origin == x.Origin || names(x.Genesis, o) || names(o.Genesis, Held{x.Origin, x.Genesis, x.Leaf})
	}
	if !related {
		return fmt.Errorf("%w: neither was its log opened beside one that is here, nor one of those beside it, nor does one continue the other", ErrStrange)
	}
	for _, h := range held {
		if h.Origin != x.Origin {
			continue
		}
		l, err := c.openHeld(h)
		if err != nil {
			return err
		}
		if err := behind(x.Within(l), x.Origin, l.Size()); err != nil {
			return err
		}
	}
	for _, k := range kept {
		if err := followsEachOther(x, k.Extract); err != nil {
			return err
		}
	}
	return c.followsAnchor(x)
}

// againstExtracts requires that a whole log is the one that the extracts of it are of.
func (c *Case) againstExtracts(f *Foreign) error {
	kept, err := c.Extracts()
	if err != nil {
		return err
	}
	for _, k := range kept {
		if k.Origin != f.Genesis.Origin {
			continue
		}
		if k.Leaf != f.Leaf {
			return fmt.Errorf("%w: it begins with another genesis, of fingerprint %s, than that of %q", record.ErrMalformed, f.Leaf, k.Name)
		}
		if err := behind(k.Within(f.Log), k.Origin, k.Size); err != nil {
			return err
		}
	}
	return nil
}

// names reports whether a genesis says that its log was opened beside another one, or continues it.
func names(g *record.CaseOpened, o Held) bool {
	j := g.Joins
	return j != nil && j.Origin == o.Origin && j.Genesis == o.Leaf || continues(g, o.Origin)
}

// followsEachOther requires of two extracts of one log that the one with fewer entries is of its beginning.
func followsEachOther(x, held *ledger.Extract) error {
	switch {
	case held.Origin != x.Origin:
		return nil
	case held.Size <= x.Size:
		return behind(x.Follows(held.Checkpoint), x.Origin, held.Size)
	}
	return behind(held.Follows(x.Checkpoint), x.Origin, held.Size)
}

// followsAnchor holds an extract against the newest checkpoint of its log that the home log took in.
func (c *Case) followsAnchor(x *ledger.Extract) error {
	a, found, err := c.newestAnchor(x.Origin, func(*record.Anchored) bool { return true })
	if err != nil || !found || a.Size > x.Size {
		return err // what the larger checkpoint came from is here, or package verify says that it lacks
	}
	seen, err := x.Keys.OpenCheckpoint([]byte(a.Checkpoint))
	if err != nil {
		return err
	}
	return behind(x.Follows(seen), x.Origin, seen.Size)
}

// newestAnchor is the home log's newest entry about another log that is one of those wanted.
func (c *Case) newestAnchor(origin string, wanted func(*record.Anchored) bool) (*record.Anchored, bool, error) {
	for e, err := range c.Entries() {
		if err != nil {
			return nil, false, err
		}
		if a, ok := e.Predicate.(*record.Anchored); ok && a.Origin == origin && wanted(a) {
			return a, true, nil
		}
	}
	return nil, false, nil
}

// behind says of a missing proof from which size it is wanted.
func behind(err error, origin string, size int64) error {
	if errors.Is(err, ledger.ErrNoConsistency) {
		return &BehindError{origin, size}
	}
	return err
}

// keepForkExtract keeps an extract of another history as evidence, when err says that it is one.
func (c *Case) keepForkExtract(x *ledger.Extract, file []byte, sum string, err error) error {
	if _, ok := errors.AsType[*ledger.ForkError](err); !ok {
		return err
	}
	name := layout.ForkExtract(x.Origin, sum)
	kerr := c.root.MkdirAll(layout.ForksDir + "/" + x.Origin)
	if kerr == nil {
		kerr = c.root.CreateIdempotent(name, file)
	}
	if kerr != nil {
		return errors.Join(err, fmt.Errorf("keep the other history in %q: %w", name, kerr))
	}
	return fmt.Errorf("%w; both are kept, the other one in %q", err, name)
}

// AnchorExtract takes the checkpoint of an extract in as an entry of the home log that names the extract, unless there is one. Any key that the genesis admits signs it.
func (c *Case) AnchorExtract(ctx context.Context, x *ledger.Extract, signer sign.Signer, logKey sign.LogSigner, clock record.Clock) (done bool, err error) {
	return c.anchor(ctx, sighting{x.Origin, x.Leaf, x.Size, x.Note, &record.Extract{Exhibit: x.Exhibit, SHA256: x.SHA256}}, signer, logKey, clock)
}

// withExtracts adds to the logs held, which are logs by their places, the events that only extracts show, and returns these events
// by their places. A log that the case does not hold comes behind the others.
func (c *Case) withExtracts(held []Held, logs *[]state.Sequence) (map[state.Place]Entry, error) {
	kept, err := c.Extracts()
	if err != nil {
		return nil, err
	}
	out := map[state.Place]Entry{}
	for len(kept) > 0 {
		extracts, g := ledger.SameLog(extractsOf(kept)), kept[0].Genesis
		i := slices.IndexFunc(held, func(o Held) bool { return o.Origin == g.Origin })
		if i < 0 {
			i = len(*logs)
			*logs = append(*logs, state.SequenceOf(g))
		}
		s := &(*logs)[i]
		s.Steps = slices.Clip(s.Steps)
		for _, e := range ledger.EventsOf(extracts, s.Next()) {
			out[state.Place{Log: i, Step: len(s.Steps)}] = Entry{Index: e.Index, Leaf: e.Leaf, KeyID: e.KeyID, Predicate: e.Event, Openings: e.Openings, Log: g.Origin}
			s.Steps = append(s.Steps, state.StepOf(e.Index, e.Leaf, e.Event))
		}
		kept = kept[len(extracts):]
	}
	return out, nil
}

func extractsOf(kept []HeldExtract) []*ledger.Extract {
	out := make([]*ledger.Extract, len(kept))
	for i, k := range kept {
		out[i] = k.Extract
	}
	return out
}

// partly tells the book of the logs of which the case has extracts only, and of those held that an extract goes beyond.
func (c *Case) partly(book *state.Book) error {
	kept, err := c.Extracts()
	if err != nil || len(kept) == 0 {
		return err
	}
	held, err := c.Logs()
	if err != nil {
		return err
	}
	sizes := map[string]int64{}
	for _, h := range held {
		l, err := c.openHeld(h)
		if err != nil {
			return err
		}
		sizes[h.Origin] = l.Size()
	}
	for _, x := range ledger.Newest(extractsOf(kept)) {
		if x.Size > sizes[x.Origin] {
			book.Partly(x.Exhibit, x.Origin, x.Size)
		}
	}
	return nil
}
