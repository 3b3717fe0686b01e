package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/exhibit-forensics/exhibit/acquire"
	"github.com/exhibit-forensics/exhibit/acquire/image/ewf"
	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
)

// rescueFirst is an E01 of a failing medium: an E01 can only be written in order, so the medium is rescued into a raw image,
// which is signed and logged, and that is copied then, with a record of the copy.
func (o *acquireOptions) rescueFirst() bool {
	return o.format == record.FormatE01 && o.onError == record.OnErrorRescue
}

// prepareRescueFirst makes the options those of the raw image, and asks before the first byte for what the copy needs:
// a key that may sign it, and room.
func (o *acquireOptions) prepareRescueFirst(c *custody.Case, m *medium.Medium, keys *unlocked, opts *acquire.Options) error {
	if o.takeOver != "" {
		return misused(fmt.Errorf("an image with bytes that were taken over cannot be copied to an E01"), "leave out --format e01")
	}
	if o.also != "" {
		return misused(fmt.Errorf("--also cannot be had together with --format e01 --on-error rescue"),
			"acquire as raw into both places, and convert then: exhibit image convert FOLDER --format e01")
	}
	admitted, _, err := currentKeys(c)
	if err != nil {
		return err
	}
	if !admitted.MaySign(keys.info.KeyID, record.TypeCopied, ledger.Next) {
		return withHints(fmt.Errorf("key %q may not sign a copy in this case, and the E01 would be one", keys.info.Name), "acquire as raw: --format raw")
	}
	size, known := m.Size()
	if !known {
		return misused(fmt.Errorf("a stream cannot be rescued"), "leave out --on-error rescue")
	}
	plan, err := ewf.NewPlan(size, int(m.SectorBytes()), opts.SegmentBytes, 0)
	if err != nil {
		return withHints(fmt.Errorf("the E01 that is to be made: %w", err), "acquire as raw: --format raw")
	}
	opts.Format, opts.Compression, opts.SegmentBytes, opts.SpareBytes = record.FormatRaw, "", 0, plan.MaxBytes
	return nil
}

// convertRescued copies the raw image that was just sealed. Whatever goes wrong, the acquisition stands.
func (o *acquireOptions) convertRescued(ctx context.Context, u *ui, c *custody.Case, folder string, keys *unlocked) error {
	like := convertOptions{format: record.FormatE01, compression: o.compression, split: o.split, examiner: o.examiner}
	err := func() error {
		opts, err := like.parse()
		if err != nil {
			return err
		}
		source, err := openSource(folder)
		if err != nil {
			return err
		}
		defer source.Close() //nolint:errcheck // opened for reading only
		from, err := findSource(c, source, folder)
		if err != nil {
			return err
		}
		return like.convert(ctx, u, c, source.FS(), folder, from, opts, keys)
	}()
	if err != nil {
		return withHints(fmt.Errorf("the medium is acquired, signed and sealed as raw in %q; the E01 is not made: %w", folder, err),
			append(hintsFor(err), "make it with: exhibit image convert "+shellWord(folder)+" --format e01")...)
	}
	return nil
}

// sealedFolder is where an acquisition lies in the case.
func (t *destinations) sealedFolder(id string) string { return filepath.Join(t.home, id) }
