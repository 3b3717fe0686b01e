package anchor

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// What an anchor is asked of.
const (
	KindTimeStamp = "time-stamp" // of an RFC 3161 authority
	KindWitness   = "witness"    // of a C2SP witness
)

const pendingType = "exhibit-pending-anchors/v1"

// Pending is an anchor that was asked for and has not come.
type Pending struct {
	Address string `json:"address"`
	Kind    string `json:"kind"`
	Size    int64  `json:"size"` // of the checkpoint it was asked for
}

type pendingFile struct {
	Pending []Pending `json:"pending"` // in the order they were asked for
	Type    string    `json:"type"`
}

// maxAddress bounds an address.
const maxAddress = 2048

// ReadPending returns what is pending in a log's folder, none when the file is not there. What is malformed wraps
// record.ErrMalformed or record.ErrNewer.
func ReadPending(root *durable.Root) ([]Pending, error) {
	b, err := root.ReadFile(layout.PendingAnchors, record.MaxJSON)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var f pendingFile
	if err := record.DecodeTyped(b, pendingType, &f); err != nil {
		return nil, fmt.Errorf("%q: %w", layout.PendingAnchors, err)
	}
	for i, p := range f.Pending {
		if p.Kind != KindTimeStamp && p.Kind != KindWitness || p.Size < 1 || p.Size > layout.MaxLogSize || len(p.Address) > maxAddress || i >= layout.MaxAnchors {
			return nil, fmt.Errorf("%q: %w: entry %d", layout.PendingAnchors, record.ErrMalformed, i)
		}
	}
	return f.Pending, nil
}

// SettlePending takes done from what is pending and adds what has failed; the caller holds the log's lock. Of a witness only
// the newest checkpoint is ever asked for, so that of one address there is one.
func SettlePending(root *durable.Root, done, failed []Pending) error {
	all, err := ReadPending(root)
	if err != nil {
		return err
	}
	same := func(a, b Pending) bool {
		return a.Address == b.Address && a.Kind == b.Kind && (a.Size == b.Size || a.Kind == KindWitness)
	}
	for _, d := range append(slices.Clone(done), failed...) {
		all = slices.DeleteFunc(all, func(p Pending) bool { return same(p, d) })
	}
	all = append(all, failed...)
	if len(all) > layout.MaxAnchors {
		return fmt.Errorf("%d anchors are pending, at most %d can be", len(all), layout.MaxAnchors)
	}
	if len(all) == 0 {
		if err := root.Remove(layout.PendingAnchors); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	b, err := record.EncodeJSON(pendingFile{all, pendingType})
	if err != nil {
		return err
	}
	if err := root.MkdirAll(layout.AnchorsDir); err != nil {
		return err
	}
	return root.Replace(layout.PendingAnchors, b)
}
