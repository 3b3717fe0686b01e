package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

const uncommittedType = "exhibit-uncommitted/v1"

// uncommittedFile is a list for the writer: what the next statement has to name.
type uncommittedFile struct {
	Anchors []record.Digest `json:"anchors"`               // sorted, none doubled
	Quotes  []record.Digest `json:"attestations,omitzero"` // the same
	Type    string          `json:"type"`
}

// readUncommitted returns the digests of the anchors and quotes that no statement names yet, as many of each as one may.
func readUncommitted(dir *folder) (uncommittedFile, error) {
	b, err := dir.readFile(layout.Uncommitted, record.MaxJSON)
	if errors.Is(err, fs.ErrNotExist) {
		return uncommittedFile{}, nil
	}
	if err != nil {
		return uncommittedFile{}, err
	}
	var f uncommittedFile
	if err := record.DecodeTyped(b, uncommittedType, &f); err != nil {
		return uncommittedFile{}, fmt.Errorf("%q: %w", layout.Uncommitted, err)
	}
	for field, list := range map[string][]record.Digest{"anchors": f.Anchors, "attestations": f.Quotes} {
		for i, d := range list {
			if d.Algorithm() != record.SHA256 || i > 0 && list[i-1].Hex() >= d.Hex() {
				return uncommittedFile{}, fmt.Errorf("%q: %w: %s[%d] is no SHA-256, doubled or out of order", layout.Uncommitted, record.ErrMalformed, field, i)
			}
		}
	}
	f.Anchors = f.Anchors[:min(len(f.Anchors), layout.MaxAnchors)]
	f.Quotes = f.Quotes[:min(len(f.Quotes), layout.MaxQuotes)]
	return f, nil
}

func writeUncommitted(root *durable.Root, f uncommittedFile) error {
	if len(f.Anchors) == 0 && len(f.Quotes) == 0 {
		return removeIfThere(root, layout.Uncommitted)
	}
	f.Type = uncommittedType
	b, err := record.EncodeJSON(f)
	if err != nil {
		return err
	}
	if err := root.MkdirAll(layout.AnchorsDir); err != nil {
		return err
	}
	return root.Replace(layout.Uncommitted, b)
}

// withDigest returns a sorted list with d in it.
func withDigest(list []record.Digest, d record.Digest) []record.Digest {
	at, found := slices.BinarySearchFunc(list, d, func(a, b record.Digest) int { return strings.Compare(a.Hex(), b.Hex()) })
	if found {
		return list
	}
	return slices.Insert(list, at, d)
}

// committed takes from the list what a batch that was just published names. After a crash in between an anchor or quote is
// named twice, which says nothing else.
func (w *writer) committed(items []Item) error {
	if len(w.uncommitted.Anchors) == 0 && len(w.uncommitted.Quotes) == 0 {
		return nil
	}
	named := map[record.Digest]bool{}
	for _, item := range items {
		e, err := sign.ParseEnvelope(item.Envelope)
		if err != nil {
			return err
		}
		p, err := record.Decode(e.Payload)
		if err != nil {
			return err
		}
		if s := record.StateOf(p); s != nil {
			for _, d := range slices.Concat(s.Anchors, s.Attestations) {
				named[d] = true
			}
		}
	}
	all, err := readUncommitted(w.dir)
	if err != nil {
		return err
	}
	done := func(d record.Digest) bool { return named[d] }
	all.Anchors, all.Quotes = slices.DeleteFunc(all.Anchors, done), slices.DeleteFunc(all.Quotes, done)
	return writeUncommitted(w.root, all)
}

// AddAnchor keeps an anchor of the checkpoint of that size, of the kind layout.AnchorToken or layout.AnchorCosigned, in the
// log's folder, for the next statement to name. It was checked by the caller. Waiting for the lock ends with ctx; waiting
// is told as by Append. One that is kept already is no error. The name below the log folder is returned.
func AddAnchor(ctx context.Context, root *durable.Root, waiting func(held error), size int64, kind string, data []byte) (name string, err error) {
	sum := sha256.Sum256(data)
	name = layout.AnchorFile(size, hex.EncodeToString(sum[:]), kind)
	err = Locked(ctx, root, waiting, func() error {
		dir := newFolder(root.FS())
		list, err := readUncommitted(dir)
		if err != nil {
			return err
		}
		list.Anchors = withDigest(list.Anchors, record.SHA256Digest(sum))
		if len(list.Anchors) > layout.MaxAnchors {
			return fmt.Errorf("%d anchors wait for a statement that names them: log an event first", layout.MaxAnchors)
		}
		if err := root.MkdirAll(layout.AnchorsDir); err != nil {
			return err
		}
		// The file first: a statement must not name what is not there.
		if err := root.CreateIdempotent(name, data); err != nil {
			return err
		}
		return writeUncommitted(root, list)
	})
	if err != nil {
		return "", fmt.Errorf("keep an anchor: %w", err)
	}
	return name, nil
}

func removeIfThere(root *durable.Root, name string) error {
	if err := root.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Locked calls do while it holds the log's lock. Waiting for it ends with ctx; waiting is told as by Append.
func Locked(ctx context.Context, root *durable.Root, waiting func(held error), do func() error) error {
	text, err := root.ReadFile(layout.Lock, 1<<10)
	careful := err != nil || len(text) > 0
	lock, err := takeLock(ctx, root, waiting)
	if err != nil {
		return err
	}
	// What a killed append left in the lock file would tell the next one to be careful. Without its cache it is, too.
	if err = nil; careful {
		err = removeIfThere(root, layout.Heads)
	}
	if err == nil {
		err = do()
	}
	return errors.Join(err, lock.Unlock())
}

// CheckpointSizes returns the sizes of all checkpoints in a log folder, sorted, by their names. See Log.At.
func CheckpointSizes(fsys fs.FS) ([]int64, error) { return checkpointSizes(newFolder(fsys)) }
