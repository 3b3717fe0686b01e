package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// AddQuote keeps what a TPM quoted for the record at leaf i, and the event log of the machine's firmware if there is one, in
// the log's folder, for the next statement to name. It was checked by the caller. Waiting for the lock ends with ctx; waiting
// is told as by Append. A record has one quote: where there is one already it stays, and is listed again, for the process
// that kept it may have been killed before it did so.
func AddQuote(ctx context.Context, root *durable.Root, waiting func(held error), i int64, quote, bootLog []byte) error {
	if len(quote) == 0 || len(quote) > layout.MaxAttest || len(bootLog) > layout.MaxBootLog {
		return fmt.Errorf("keep a quote: it has %d bytes, and the event log %d", len(quote), len(bootLog))
	}
	err := Locked(ctx, root, waiting, func() error {
		w := &writer{root: root, dir: newFolder(root.FS())}
		list, err := readUncommitted(w.dir)
		if err != nil {
			return err
		}
		if len(list.Quotes) >= layout.MaxQuotes {
			return fmt.Errorf("%d quotes wait for a statement that names them: log an event first", layout.MaxQuotes)
		}
		kept, err := w.keepQuote(i, quote, bootLog)
		if err != nil {
			return err
		}
		list.Quotes = withDigest(list.Quotes, record.SHA256Of(kept))
		return writeUncommitted(root, list)
	})
	if err != nil {
		return fmt.Errorf("keep a quote: %w", err)
	}
	return nil
}

// keepQuote writes the two files, or reads the quote that is there, and returns the one that lies there now. The event log
// comes first: what the quote names is there.
// One that lies there without a quote was left by a process that was killed, perhaps before the machine was started again.
func (w *writer) keepQuote(i int64, quote, bootLog []byte) ([]byte, error) {
	name := layout.StartFile(i, layout.AttestQuote)
	have, err := ReadQuote(w.root.FS(), i)
	if err == nil {
		return have, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := w.root.MkdirAll(layout.AttestDir); err != nil {
		return nil, err
	}
	if len(bootLog) > 0 {
		if err := w.writeFile(file{layout.StartFile(i, layout.AttestBootLog), bootLog}); err != nil {
			return nil, err
		}
	}
	if err := w.root.CreateEx(name, quote); err != nil {
		return nil, err
	}
	return quote, nil
}

// ReadQuote reads the quote for the record at leaf i of a log's folder; fs.ErrNotExist when there is none. Nothing in it is
// checked.
func ReadQuote(fsys fs.FS, i int64) ([]byte, error) {
	return newFolder(fsys).readFile(layout.StartFile(i, layout.AttestQuote), layout.MaxAttest)
}
