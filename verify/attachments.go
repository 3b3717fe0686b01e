package verify

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/state"
	"github.com/exhibit-forensics/exhibit/internal/cancel"
	"github.com/exhibit-forensics/exhibit/internal/hashtree"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// attachmentRef is an attachment that an event of the log names.
type attachmentRef struct {
	record.Attachment
	index int64 // of the newest entry that names it
}

// attached notes what an event names; the same bytes under several events are checked once.
func (l *logCheck) attached(i int64, e record.Event) {
	exhibit := e.Header().Exhibit
	for _, a := range record.Attachments(e) {
		sum := a.SHA256()
		if l.attachments[exhibit] == nil {
			l.attachments[exhibit] = map[record.Digest][]attachmentRef{}
		}
		refs := l.attachments[exhibit][sum]
		if len(refs) == 0 || refs[0].SizeBytes != a.SizeBytes || refs[0].Digests[0] != a.Digests[0] {
			l.attachments[exhibit][sum] = append(refs, attachmentRef{a, i})
		} else {
			refs[0].index = i
		}
	}
}

// checkAttachments holds the attachments of an exhibit against what its events say of them. The error is that of the context.
func (c *checker) checkAttachments(l *logCheck, exhibit, dir string, own *line) error {
	byText := func(a, b record.Digest) int { return strings.Compare(a.String(), b.String()) }
	for _, sum := range slices.SortedFunc(maps.Keys(l.attachments[exhibit]), byText) {
		raw, err := hex.DecodeString(sum.Hex())
		if err != nil {
			return err
		}
		name := within(dir, layout.AttachmentFile(raw))
		c.attachments[name] = true
		if l.foreign && !c.fsys.exists(name) {
			own.add(Finding{Severity: Note, File: name, Text: "an attachment that log " + l.origin + " names is not in this folder: verify it where that log is kept"})
			continue
		}
		erased := l.attachmentErased(exhibit, sum)
		for _, ref := range l.attachments[exhibit][sum] {
			if err := c.checkAttachment(name, ref, erased, own); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkAttachment holds one attachment against what an event says of it; erased is the order that had it erased, nil for none.
func (c *checker) checkAttachment(name string, ref attachmentRef, erased *state.Erased, own *line) error {
	f, size, err := c.fsys.openFile(name)
	if erased != nil {
		c.erasedAttachment(name, erased, isMissing(err), own)
		if isMissing(err) {
			return nil
		}
	}
	if err != nil {
		own.add(fromError(name, err))
		return nil
	}
	sha, b3 := sha256.New(), new(hashtree.Hasher)
	_, err = io.Copy(io.MultiWriter(sha, b3), cancel.Reader(c.ctx, f))
	closeErr := f.Close()
	switch {
	case c.ctx.Err() != nil:
		return c.ctx.Err()
	case err != nil || closeErr != nil:
		own.add(fromError(name, errors.Join(err, closeErr)))
		return nil
	case size != ref.SizeBytes:
		own.add(mismatch(name, "attachments.sizeBytes", number(ref.SizeBytes, "byte"), number(size, "byte"), "the attachment has another size than the event says"))
		return nil
	}
	for _, want := range ref.Digests {
		got := record.BLAKE3Digest(b3.Root())
		if want.Algorithm() == record.SHA256 {
			got = record.SHA256Digest([32]byte(sha.Sum(nil)))
		}
		if got != want {
			own.add(mismatch(name, "attachments.digests", want.String(), got.String(), "the attachment is not the one that the event names"))
			return nil
		}
	}
	own.checked++
	return nil
}

// strangeAttachments notes what lies among the attachments of an exhibit and no event names.
func (c *checker) strangeAttachments(dir string) {
	entries, err := c.fsys.readDir(dir, layout.MaxFolder)
	if err != nil {
		c.lines[6].add(fromError(dir, err))
		return
	}
	for _, e := range entries {
		if name := within(dir, e.Name()); !c.attachments[name] {
			c.uncovered(name)
		}
	}
}
