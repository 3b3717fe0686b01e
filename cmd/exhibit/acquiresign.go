package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/exhibit-forensics/exhibit/acquire"
	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// readUnsigned requires the finished record to be that of the folder it lies in. A folder that was moved to another exhibit
// would be logged under the one it names, and never found there.
func readUnsigned(partial *durable.Root, exhibit, id string) (acquire.Unsigned, error) {
	un, err := acquire.ReadUnsigned(partial)
	if err != nil {
		return acquire.Unsigned{}, err
	}
	if un.Exhibit != exhibit || un.Acquisition.ID != id {
		dir, err := layout.ExhibitDir(un.Exhibit)
		if err != nil {
			return acquire.Unsigned{}, err
		}
		return acquire.Unsigned{}, misused(fmt.Errorf("the record in this folder is that of acquisition %s of exhibit %q", un.Acquisition.ID, un.Exhibit),
			fmt.Sprintf("the folder was moved or renamed: put it back as %s/%s%s in the case, then resume it there", dir, un.Acquisition.ID, layout.PartialSuffix))
	}
	return un, nil
}

// signAndSeal is the second half of every acquisition: log the record unless the log has it, then seal the folder.
// It can be repeated after an interruption at any point. Every failure leaves a folder to resume.
func signAndSeal(ctx context.Context, u *ui, c *custody.Case, to *destinations, exhibit, id string, keys *unlocked, lost []*acquire.DestinationError, stats *acquire.Stats) error {
	to.drop(lost)
	doc, err := logAndSeal(ctx, c, to, exhibit, id, keys)
	if err != nil {
		partial := filepath.Join(to.all[0].Dir, id+layout.PartialSuffix)
		code := codeResumable
		if c := exitCode(err); c == codeMismatch || c == codeInterrupted {
			code = c
		}
		return withHints(withCode(code, fmt.Errorf("the image is complete in %q, its record is not yet signed and sealed: %w", partial, err)),
			append(hintsFor(err), to.finishHint(partial))...)
	}
	for _, d := range to.all {
		doc.Folders = append(doc.Folders, filepath.Join(d.Dir, id))
	}
	doc.Folder, doc.Stats = doc.Folders[0], statsDocument(stats)
	err = u.result(doc, func() {
		a := doc.Acquisition
		u.linef("Acquired exhibit %s: %s in %s", clean(doc.Exhibit), size(a.Medium.SizeBytes), fileCount(a))
		for _, d := range a.Digests {
			u.linef("  %-7s %s", d.Digest.Algorithm(), d.Digest.Hex())
		}
		if c, ok := a.Medium.Container.Get(); ok {
			u.linef("Image:     %s", containerText(c))
		}
		u.linef("Read back: %s", rereadText(a.Reread))
		u.linef("Record:    entry %d of log %s, signed by key %q", doc.Index, c.Genesis().Origin, keys.info.Name)
		printQuote(u, doc.Quote)
		if a.HasMap() {
			u.linef("Unread:    %s", unreadText(a.Unread))
		}
		for _, t := range a.TakenOver {
			u.linef("Taken over: %s", takenText(t))
		}
		for _, f := range doc.Folders {
			u.linef("Folder:    %s", clean(f))
		}
		printStats(u, doc.Stats)
	})
	noteQuote(u, doc.Quote)
	notWhole(u, doc.Acquisition, lost, doc.Folder)
	return err
}

// finishHint is the command that signs and seals what is left.
func (t *destinations) finishHint(partial string) string {
	if t.all[0].Dir != t.home {
		return fmt.Sprintf("then put %s into %s, and finish it there with: exhibit acquire --resume FOLDER", shellWord(partial), shellWord(t.home))
	}
	hint := "then finish it with: exhibit acquire --resume " + shellWord(partial)
	if len(t.all) > 1 {
		hint += " --also " + shellWord(t.all[1].Dir)
	}
	return hint
}

// drop leaves out the destinations that were lost on the way.
func (t *destinations) drop(lost []*acquire.DestinationError) {
	t.all = slices.DeleteFunc(t.all, func(d acquire.Destination) bool {
		return slices.ContainsFunc(lost, func(e *acquire.DestinationError) bool { return e.Dir == d.Dir })
	})
}

func unreadText(u record.Unread) string {
	text := "nothing"
	if u.Bytes > 0 {
		text = fmt.Sprintf("%s in %s, zeros in the image", size(u.Bytes), plural(u.Ranges, "range"))
	}
	if u.RecoveredBytes > 0 {
		text += fmt.Sprintf("; %s were read only when tried again", size(u.RecoveredBytes))
	}
	return text
}

// notWhole says what a signed record could not be spared, and makes it the exit code: a lost destination, unread ranges, a
// part of the drive that was hidden.
func notWhole(u *ui, a record.Acquisition, lost []*acquire.DestinationError, folder string) {
	if a.Unread.Bytes > 0 {
		u.code = codeUnread
		u.notef("not all of the medium was acquired: %s; the .map file lists it", unreadText(a.Unread))
	}
	if hidden, known := a.Medium.Hidden().Get(); known && hidden {
		u.code = codeUnread
		u.notef("the drive hides a part of itself, which was not read: see acquisition.medium.hardware.hiddenAreas in the record")
	}
	noteContainer(u, a)
	for _, d := range lost {
		if u.code != codeMismatch {
			u.code = codeResumable
		}
		if exitCode(d) == codeMismatch {
			u.code = codeMismatch
		}
		u.notef("a destination was lost: %s", clean(d.Error()))
		u.notef("hint: copy the folder %s to a sound place, and check the copy with: exhibit verify", shellWord(folder))
	}
}

func logAndSeal(ctx context.Context, c *custody.Case, to *destinations, exhibit, id string, keys *unlocked) (acquireDocument, error) {
	logged, found, err := c.FindAcquisition(exhibit, id)
	if err == nil && !found {
		if err = logUnsigned(ctx, c, to.all[0].Root, exhibit, id, keys); err == nil {
			logged, found, err = c.FindAcquisition(exhibit, id)
		}
	}
	if err == nil && !found {
		err = errors.New("the record was appended but the log does not show it")
	}
	if err != nil {
		return acquireDocument{}, err
	}
	quote, quoteErr := quoteRecord(ctx, c, &logged, keys)
	if err := ctx.Err(); err != nil {
		return acquireDocument{}, err // what was interrupted is done when the acquisition is resumed
	}
	sealed := acquire.SealFiles{Statement: logged.Statement, Personal: logged.Personal, Proof: logged.Proof, Genesis: logged.Genesis, Changes: logged.Changes}
	for _, d := range to.all {
		if err := holdsRecord(d.Root, exhibit, id, &logged.Record.Acquisition); err != nil {
			return acquireDocument{}, err
		}
		if err := acquire.Seal(d.Root, id, sealed); err != nil {
			return acquireDocument{}, err
		}
	}
	return acquireDocument{Schema: "exhibit-acquire/v1", Exhibit: exhibit, Index: logged.Index, Acquisition: logged.Record.Acquisition, Quote: quoteFact(quote, quoteErr)}, nil
}

// holdsRecord requires that what waits in a folder to be sealed is what was logged: a second destination may have been left
// by another run of the same acquisition. A folder without a finished record was begun to be sealed, and Seal knows it.
func holdsRecord(root *durable.Root, exhibit, id string, logged *record.Acquisition) error {
	partial, err := root.Sub(id + layout.PartialSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // sealed already, which Seal makes sure of
	}
	if err != nil {
		return err
	}
	_, begun := partial.Lstat(layout.Unsigned)
	if errors.Is(begun, fs.ErrNotExist) {
		return partial.Close()
	}
	un, err := readUnsigned(partial, exhibit, id)
	if err := errors.Join(err, partial.Close()); err != nil {
		return err
	}
	have, err1 := record.EncodeJSON(un.Acquisition)
	want, err2 := record.EncodeJSON(logged)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if !bytes.Equal(have, want) {
		return withHints(withCode(codeMismatch, fmt.Errorf("the finished record in %q is not the one that was logged", partial.Name())),
			"leave this folder as it is, and copy the sealed one instead")
	}
	return nil
}

// logUnsigned signs the finished record in the .partial folder and logs it.
func logUnsigned(ctx context.Context, c *custody.Case, root *durable.Root, exhibit, id string, keys *unlocked) error {
	partial, err := root.Sub(id + layout.PartialSuffix)
	if err != nil {
		return err
	}
	un, err := readUnsigned(partial, exhibit, id)
	if _, serr := partial.Lstat(layout.Statement); serr == nil {
		err = foreignStatement(partial)
	}
	if err := errors.Join(err, partial.Close()); err != nil {
		return err
	}
	// Who can write into the folder must not choose what this station signs.
	message, signature := un.Attested()
	if err := keys.signer.PublicKey().Verify(message, signature); err != nil {
		return withHints(withCode(codeMismatch, fmt.Errorf("the finished record is not the one that this key attested when the acquisition ended: %w", err)),
			"use the key that the acquisition was begun with; if it was that one, the folder was changed: acquire the medium again")
	}
	event := &record.Acquired{Acquisition: un.Acquisition, Circumstances: un.Circumstances, Event: record.Header{Exhibit: un.Exhibit}}
	_, err = c.Append(ctx, event, un.Openings, keys.signer, keys.log, now)
	return err
}

func fileCount(a record.Acquisition) string {
	n := int64(0)
	for _, f := range a.Files {
		if f.Role == record.RoleImage {
			n++
		}
	}
	return plural(n, "file")
}

func rereadText(r record.Reread) string {
	switch r.Kind {
	case record.RereadDirect:
		return "every byte, from the disk past the system's cache, the same"
	case record.RereadCacheDropped:
		return "every byte, after dropping the system's cache, the same"
	case record.RereadCached:
		return "every byte, perhaps from memory, the same"
	}
	return "not done"
}
