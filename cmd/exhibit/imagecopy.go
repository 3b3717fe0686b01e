package main

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/exhibit-forensics/exhibit/acquire"
	"github.com/exhibit-forensics/exhibit/acquire/image/ewf"
	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// openSource opens the folder of the image that is to be copied.
func openSource(dir string) (*durable.Root, error) {
	root, err := durable.OpenRoot(dir)
	if err != nil {
		return nil, misused(fmt.Errorf("the acquisition's folder %q: %w", dir, err), "name the folder that holds the image and its statement.dsse.json")
	}
	return root, nil
}

// findSource finds the records behind a folder in the case's log, and requires them to be signed, logged and consistent, and
// the folder's copy to be the log's.
func findSource(c *custody.Case, folder *durable.Root, name string) (*converting, error) {
	envelope, err := folder.ReadFile(layout.Statement, layout.MaxEnvelope)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, withHints(withCode(codeMissing, fmt.Errorf("%q has no %s: nothing says which bytes were acquired", name, layout.Statement)),
			"name the folder of an acquisition, or of a copy: one that holds "+layout.Statement)
	}
	if err != nil {
		return nil, err
	}
	exhibit, id, err := whose(envelope)
	if err != nil {
		return nil, err
	}
	from := &converting{exhibit: exhibit}
	if from.record, err = findLogged(c, exhibit, id); err != nil {
		return nil, err
	}
	if !bytes.Equal(envelope, from.record.Statement) {
		return nil, withHints(withCode(codeMismatch, fmt.Errorf("%q: the record in this folder is not the one that the case's log has of %s", name, id)),
			"see what was changed with: exhibit verify")
	}
	from.original = from.record
	if m := from.record.Copy; m != nil {
		if from.original, err = findLogged(c, exhibit, m.Copy.Original.ID); err != nil {
			return nil, err
		}
		if err := sameMedia(&from.original, m); err != nil {
			return nil, withHints(withCode(codeMismatch, err), "see what is wrong with: exhibit verify CASE")
		}
	}
	return from, nil
}

// whose reads from a statement whose image it is of.
func whose(envelope []byte) (exhibit, id string, err error) {
	e, err := sign.ParseEnvelope(envelope)
	if err != nil {
		return "", "", err
	}
	p, err := record.Decode(e.Payload)
	if err != nil {
		return "", "", err
	}
	switch p := p.(type) {
	case *record.Acquired:
		return p.Event.Exhibit, p.Acquisition.ID, nil
	case *record.Copied:
		return p.Event.Exhibit, p.Copy.ID, nil
	}
	return "", "", misused(fmt.Errorf("the statement in this folder is of no image but %q", p.Type()), "name the folder of an acquisition, or of a copy")
}

// findLogged finds the record of an image in the log, and checks its signature.
func findLogged(c *custody.Case, exhibit, id string) (custody.Logged, error) {
	logged, found, err := c.FindImage(exhibit, id)
	if err == nil && !found {
		return custody.Logged{}, withHints(withCode(codeMissing, fmt.Errorf("the log of this case has no record of %s of exhibit %q", id, exhibit)),
			"name the case that the image belongs to with --case DIR")
	}
	if err == nil {
		err = c.CheckSignature(&logged)
	}
	return logged, err
}

// sameMedia requires a copy to be one of that acquisition, with all its digests.
func sameMedia(original *custody.Logged, m *record.Copied) error {
	have, want := m.Copy.Image(), original.Image()
	if original.Record == nil || original.Leaf != m.Copy.Original.Leaf || have.SizeBytes != want.SizeBytes {
		return fmt.Errorf("copy %s does not come from the acquisition %s that the log has", m.Copy.ID, m.Copy.Original.ID)
	}
	for _, d := range want.Digests {
		if have.Digest(d.Digest.Algorithm()) != d.Digest {
			return fmt.Errorf("copy %s is of other bytes than the acquisition %s", m.Copy.ID, m.Copy.Original.ID)
		}
	}
	if have.Unread != want.Unread || !slices.Equal(have.TakenOver, want.TakenOver) {
		return fmt.Errorf("copy %s says otherwise than the acquisition %s which bytes the medium did not give, or were taken over from another image", m.Copy.ID, m.Copy.Original.ID)
	}
	return nil
}

func reference(l *custody.Logged) record.Reference {
	return record.Reference{ID: l.Image().ID, Leaf: l.Leaf}
}

// labelsOf are what the header of an E01 says in the clear: what the acquisition said, as far as it is not erased.
func labelsOf(c *custody.Case, openings record.Openings) ewf.Header {
	h := ewf.Header{Case: c.Genesis().Case}
	h.Examiner, _ = openings.Value("/circumstances/examiner")
	h.Description, _ = openings.Value("/circumstances/description")
	return h
}

// circumstances commits to what is personal.
func (o *convertOptions) circumstances(c *custody.Case, folder string, k *record.CopyCircumstances) (openings record.Openings, err error) {
	if k.CommandLine, err = openings.Commit(rand.Reader, "/circumstances/commandLine", commandLine()); err != nil {
		return nil, err
	}
	if k.SourcePath, err = openings.Commit(rand.Reader, "/circumstances/sourcePath", clean(folder)); err != nil {
		return nil, err
	}
	examiner := o.examiner
	if examiner == "" {
		examiner = openedBy(c)
	}
	if k.Examiner, err = openings.CommitFact(rand.Reader, "/circumstances/examiner", examiner, "not given"); err != nil {
		return nil, err
	}
	k.Host, err = openings.CommitFact(rand.Reader, "/circumstances/host", hostName(), "the system did not say")
	return openings, err
}

// finishConvert seals a copy whose record was logged before something came between.
func finishConvert(u *ui, folder string) error {
	c, exhibit, id, err := openPartial(u, folder)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // everything written is synced already
	logged, found, err := c.FindImage(exhibit, id)
	switch {
	case err != nil:
		return err
	case found && logged.Copy == nil:
		return misused(fmt.Errorf("%q is an acquisition that is not finished", folder), "finish it with: exhibit acquire --resume "+shellWord(folder))
	case !found:
		left, err := c.Unsettled()
		if err != nil {
			return err
		}
		if left {
			return withHints(withCode(codeResumable, fmt.Errorf("%q is not finished, and an append that was interrupted may have its record", folder)),
				"let the log complete it with any entry, as exhibit custody note, and repeat this command")
		}
		return misused(fmt.Errorf("%q is not finished, and the log has no record of it as a copy", folder),
			"if it is one, remove the folder, and convert the image again; an acquisition is finished with: exhibit acquire --resume "+shellWord(folder))
	}
	to, err := openDestinations(c, exhibit, "")
	if err != nil {
		return err
	}
	defer to.close()
	return sealCopy(u, c, to, exhibit, id, "")
}

// sealCopy puts what the log has beside a copy, and tells the user. key may be empty.
func sealCopy(u *ui, c *custody.Case, to *destinations, exhibit, id, key string) error {
	logged, found, err := c.FindImage(exhibit, id)
	if err == nil && (!found || logged.Copy == nil) {
		err = errors.New("the record was appended but the log does not show it")
	}
	if err != nil {
		return err
	}
	err = acquire.Seal(to.all[0].Root, id, acquire.SealFiles{Statement: logged.Statement, Personal: logged.Personal, Proof: logged.Proof, Genesis: logged.Genesis, Changes: logged.Changes, Copy: true})
	if err != nil {
		return withCode(codeResumable, err)
	}
	m := logged.Copy.Copy
	doc := convertDocument{"exhibit-image-convert/v1", filepath.Join(to.home, id), exhibit, logged.Index, m}
	return u.result(doc, func() {
		i := m.Image()
		u.linef("Copied exhibit %s, acquisition %s: %s as %s in %s", clean(exhibit), m.Original.ID, size(m.SizeBytes), m.Format, plural(int64(len(i.Role(record.RoleImage))), "file"))
		for _, d := range m.Digests {
			u.linef("  %-7s %s", d.Digest.Algorithm(), d.Digest.Hex())
		}
		u.linef("Source:    all recorded digests hold")
		u.linef("Read back: %s", rereadText(m.Reread))
		if key != "" {
			u.linef("Record:    entry %d of log %s, signed by key %q", doc.Index, c.Genesis().Origin, key)
		}
		if slices.ContainsFunc(m.Files, func(f record.File) bool { return f.Role == record.RoleMap }) {
			u.linef("Unread:    %s", unreadText(m.Unread))
		}
		for _, t := range m.TakenOver {
			u.linef("Taken over: %s", takenText(t))
		}
		u.linef("Folder:    %s", clean(doc.Folder))
	})
}
