package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// importExtract takes one exhibit's entries of another log in.
func importExtract(ctx context.Context, u *ui, name string, o *importOptions) error {
	c, err := openMaybeClosed(u, o.caseDir)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // everything written is synced already
	file, err := readExtract(name)
	if err != nil {
		return err
	}
	x, added, err := c.ImportExtract(ctx, file)
	if err != nil {
		return extractHints(name, err)
	}
	anchored, err := o.logTaken(u, c, func(k *unlocked) (bool, error) { return c.AnchorExtract(ctx, x, k.signer, k.log, now) })
	if err != nil {
		return err
	}
	return showImportedExtract(u, x, added, anchored)
}

// readExtract reads a file that is at most as large as an extract may be.
func readExtract(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > layout.MaxExtract {
		return nil, misused(fmt.Errorf("%q is no file of at most %d bytes", name, layout.MaxExtract))
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	return io.ReadAll(io.LimitReader(f, layout.MaxExtract+1))
}

// extractHints says what to do about an extract that is not taken in.
func extractHints(name string, err error) error {
	err = fmt.Errorf("%q: %w", name, err)
	behind := (*custody.BehindError)(nil)
	switch fork := (*ledger.ForkError)(nil); {
	case errors.As(err, &behind):
		return withHints(withCode(codeMissing, err), fmt.Sprintf("nothing was written; ask its sender to type: exhibit log export FILE%s --exhibit NUMBER --extract --from %d", layout.ExtractSuffix, behind.Size))
	case errors.As(err, &fork):
		return withHints(err, "nothing more can be had from that log: ask who keeps it, and verify both histories against other copies")
	case errors.Is(err, custody.ErrExists):
		return misused(err, "the case has all of it already: there is nothing to take in")
	case errors.Is(err, custody.ErrStrange):
		return misused(err, "name the case that it belongs to: --case FOLDER; a log joins a case with: exhibit case join")
	}
	return refused(err)
}

func showImportedExtract(u *ui, x *ledger.Extract, added, anchored bool) error {
	doc := importDocument{Schema: "exhibit-import/v1", Origin: x.Origin, Agency: x.Genesis.Agency, Fingerprint: x.Leaf.String(), Entries: x.Size, Anchored: anchored,
		Exhibit: x.Exhibit, Count: x.Count}
	if added {
		doc.Added = x.Count
	}
	return u.result(doc, func() {
		if added {
			u.linef("Took in %s of exhibit %s, of the first %s of log %s", plural(doc.Count, "event"), clean(doc.Exhibit), entriesText(doc.Entries), doc.Origin)
		} else {
			u.linef("That extract is held already: %s of exhibit %s, of log %s", plural(doc.Count, "event"), clean(doc.Exhibit), doc.Origin)
		}
		u.linef("Agency:      %s", clean(doc.Agency))
		u.linef("Fingerprint: %s", sign.Fingerprint(doc.Fingerprint))
		if doc.Anchored {
			u.linef("Its checkpoint is an entry of the home log now.")
		}
		u.linef("That no later event of the exhibit stands in that log is its sender's word; the whole log shows it.")
		u.linef("Trust it only when the fingerprint was compared by telephone or in person: exhibit trust add genesis %s --name NAME", doc.Fingerprint)
	})
}
