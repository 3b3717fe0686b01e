package custody

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"

	"lukechampine.com/blake3"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/cancel"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
	"github.com/exhibit-forensics/exhibit/internal/mnemonic"
)

// ErrPhrase says that a file holds the words of a wallet's recovery phrase: whoever is given the case could take the money.
var ErrPhrase = errors.New("it holds the words of a wallet's recovery phrase")

// Attached is a file that lies in the case and that an event can name.
type Attached struct {
	Digests   []record.Digest // BLAKE3 and SHA-256
	SizeBytes int64
	Phrase    bool // its text holds the words of a wallet's recovery phrase
}

// Attach copies what r gives into the folder of an exhibit, under its SHA-256, synced and read-only, before any event names it.
// Where the same bytes lie already nothing is written. A file that no event comes to name is noted by package verify, and is
// no evidence. What holds the words of a recovery phrase is not kept, and is ErrPhrase, unless despite is set. Whether a
// picture or a video shows a recovery phrase is not looked for: only text is read.
func (c *Case) Attach(ctx context.Context, exhibit string, r io.Reader, despite bool) (Attached, error) {
	root, _, err := c.ExhibitFolder(exhibit)
	if err != nil {
		return Attached{}, err
	}
	a, err := attach(ctx, root, r, despite)
	return a, errors.Join(err, root.Close())
}

// attach copies under a name that no reader takes for an attachment: the right one is known when all was read.
func attach(ctx context.Context, root *durable.Root, r io.Reader, despite bool) (a Attached, err error) {
	if err := root.MkdirAll(layout.AttachmentsDir); err != nil {
		return Attached{}, err
	}
	var random [8]byte
	if _, err := io.ReadFull(rand.Reader, random[:]); err != nil {
		return Attached{}, err
	}
	temp := layout.AttachmentsDir + "/" + hex.EncodeToString(random[:]) + ".tmp"
	f, err := root.OpenEx(temp)
	if err != nil {
		return Attached{}, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Abort(), root.Remove(temp))
		}
	}()
	h := newAttachmentHash()
	n, err := io.Copy(io.MultiWriter(f, h), cancel.Reader(ctx, r))
	if err != nil {
		return Attached{}, fmt.Errorf("copy the attachment: %w", err)
	}
	if h.text.Found() && !despite {
		return Attached{}, ErrPhrase
	}
	if err := f.Seal(); err != nil {
		return Attached{}, err
	}
	a = Attached{h.digests(), n, h.text.Found()}
	name := layout.AttachmentFile(h.sha.Sum(nil))
	if err := root.Rename(temp, name); !errors.Is(err, fs.ErrExist) {
		return a, err
	}
	if err := sameAttachment(ctx, root, name, a); err != nil {
		return Attached{}, err
	}
	return a, root.Remove(temp)
}

// sameAttachment requires that what lies under the name already has the digests.
func sameAttachment(ctx context.Context, root *durable.Root, name string, want Attached) error {
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	h := newAttachmentHash()
	_, err = io.Copy(h, cancel.Reader(ctx, f))
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if got := h.digests(); got[0] != want.Digests[0] || got[1] != want.Digests[1] {
		return fmt.Errorf("%w: %q does not have the SHA-256 that it is called by", record.ErrMalformed, name)
	}
	return root.Persist(name)
}

// attachmentHash computes both digests, and looks for a recovery phrase.
type attachmentHash struct {
	sha  hash.Hash
	b3   *blake3.Hasher
	text mnemonic.Scanner
}

func newAttachmentHash() *attachmentHash {
	return &attachmentHash{sha: sha256.New(), b3: blake3.New(32, nil)}
}

// Write implements io.Writer.
func (h *attachmentHash) Write(p []byte) (int, error) {
	for _, w := range []io.Writer{h.sha, h.b3, &h.text} {
		if n, err := w.Write(p); err != nil {
			return n, err
		}
	}
	return len(p), nil
}

func (h *attachmentHash) digests() []record.Digest {
	return []record.Digest{record.BLAKE3Digest([32]byte(h.b3.Sum(nil))), record.SHA256Digest([32]byte(h.sha.Sum(nil)))}
}
