package custody

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"slices"

	"github.com/exhibit-forensics/exhibit/custody/anchor"
	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// Log opens the home log under its newest checkpoint, which is verified with the keys of the log's own genesis.
func (c *Case) Log() (*ledger.Log, error) { return c.openLog() }

// PendingAnchors returns the anchors of the home log that were asked for and have not come.
func (c *Case) PendingAnchors() (list []anchor.Pending, err error) {
	err = c.inLog(func(root *durable.Root) error {
		list, err = anchor.ReadPending(root)
		return err
	})
	return list, err
}

// SettlePendingAnchors takes what was done from the pending ones, and adds what has failed.
func (c *Case) SettlePendingAnchors(ctx context.Context, done, failed []anchor.Pending) error {
	return c.inLog(func(root *durable.Root) error {
		return ledger.Locked(ctx, root, c.Waiting, func() error { return anchor.SettlePending(root, done, failed) })
	})
}

// KeepAnchor keeps an anchor that was checked, as ledger.AddAnchor does, and returns its file below the case folder.
func (c *Case) KeepAnchor(ctx context.Context, size int64, kind string, data []byte) (name string, err error) {
	err = c.inLog(func(root *durable.Root) error {
		name, err = ledger.AddAnchor(ctx, root, c.Waiting, size, kind, data)
		return err
	})
	return layout.LogDir(c.genesis.Origin) + "/" + name, err
}

// Anchor is an anchor in the home log's folder, read and not checked.
type Anchor struct {
	File string // below the case folder
	Kind string // layout.AnchorToken or layout.AnchorCosigned
	Size int64  // of the checkpoint, as its name says
	Data []byte
}

// Anchors returns what lies in the home log's folder of anchors, by size.
func (c *Case) Anchors() ([]Anchor, error) {
	var anchors []Anchor
	err := c.inLog(func(root *durable.Root) error {
		names, err := fs.ReadDir(root.FS(), layout.AnchorsDir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		for _, e := range names {
			size, _, kind, ok := layout.ParseAnchor(e.Name())
			if !ok {
				continue
			}
			name := layout.AnchorsDir + "/" + e.Name()
			b, err := root.ReadFile(name, max(layout.MaxToken, layout.MaxCosigned))
			if err != nil {
				return err
			}
			anchors = append(anchors, Anchor{layout.LogDir(c.genesis.Origin) + "/" + name, kind, size, b})
		}
		return nil
	})
	slices.SortStableFunc(anchors, func(a, b Anchor) int { return cmp.Compare(a.Size, b.Size) })
	return anchors, err
}

// inLog calls do with the home log's folder.
func (c *Case) inLog(do func(*durable.Root) error) error {
	root, err := c.root.Sub(layout.LogDir(c.genesis.Origin))
	if err != nil {
		return err
	}
	return errors.Join(do(root), root.Close())
}

// Unsettled reports whether an append to the home log was interrupted and has left something that the next one logs. A statement
// that is no part of the log yet may be among it.
func (c *Case) Unsettled() (bool, error) {
	l, err := c.openLog()
	if err != nil {
		return false, err
	}
	dir := layout.LogDir(c.genesis.Origin)
	for _, name := range []string{layout.Pending, layout.StatementFile(l.Size())} {
		_, err := c.root.Lstat(dir + "/" + name)
		if !errors.Is(err, fs.ErrNotExist) {
			return err == nil, err
		}
	}
	return false, nil
}

// Quote returns what a TPM quoted for the record at leaf i of the home log; fs.ErrNotExist when there is nothing. It is not
// checked.
func (c *Case) Quote(i int64) (quote []byte, err error) {
	err = c.inLog(func(root *durable.Root) error {
		quote, err = ledger.ReadQuote(root.FS(), i)
		return err
	})
	return quote, err
}

// KeepQuote keeps a quote that was checked, as ledger.AddQuote does, and returns its file below the case folder.
func (c *Case) KeepQuote(ctx context.Context, i int64, quote, bootLog []byte) (name string, err error) {
	if err := c.inLog(func(root *durable.Root) error { return ledger.AddQuote(ctx, root, c.Waiting, i, quote, bootLog) }); err != nil {
		return "", err
	}
	return layout.LogDir(c.genesis.Origin) + "/" + layout.StartFile(i, layout.AttestQuote), nil
}
