package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/exhibit-forensics/exhibit/acquire"
	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/state"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

type convertDocument struct {
	Schema  string      `json:"schema"`
	Folder  string      `json:"folder"`
	Exhibit string      `json:"exhibit"`
	Index   int64       `json:"index"`
	Copy    record.Copy `json:"copy"`
}

type convertOptions struct {
	caseDir, key, examiner     string
	format, compression, split string
	pass                       passphraseFlags
}

func newImageConvertCommand(u *ui) *cobra.Command {
	var o convertOptions
	return newCommand(command{
		use: "convert FOLDER --format {raw | e01}", short: "Copy an acquisition's image into another format, sign and log the copy",
		long: "Write the image of the acquisition in FOLDER in another format, or cut otherwise, into a new folder beside it. The\n" +
			"source is checked while it is read: every digest of its record and every group of its tree, or nothing is signed. The\n" +
			"copy is read back and compared, and a record that points at that of the acquisition is signed and logged. A map of what\n" +
			"the medium did not give goes along. FOLDER may be that of a copy.\n\n" +
			"A conversion that was stopped is not gone on with: remove its folder that ends in .partial, and convert again. Only one\n" +
			"whose record was logged already (exit 6) is finished by: exhibit image convert FOLDER.partial",
		example: "  exhibit image convert case-2026-001/exhibits/7/20261123T081500Z-1a2b3c4d --format e01 --split 2000M\n" +
			"  exhibit image convert /mnt/copy/20261123T081500Z-1a2b3c4d --case case-2026-001 --format raw",
		args: cobra.ExactArgs(1), codes: []int{codeMismatch, codeMissing, codeResumable, codeInterrupted},
		flags: o.register,
		run: func(cmd *cobra.Command, args []string) error {
			if strings.HasSuffix(filepath.Clean(args[0]), layout.PartialSuffix) {
				return finishConvert(u, args[0])
			}
			return runConvert(cmd.Context(), u, args[0], &o)
		},
	})
}

func (o *convertOptions) register(f *pflag.FlagSet) {
	f.StringVar(&o.format, "format", "", "`FORMAT` of the copy: raw or e01 (required)")
	f.StringVar(&o.compression, "compression", "", "of an e01, how hard it is compressed, in a `WORD`: none, fast (the default), best")
	f.StringVar(&o.split, "split", "", "cut the copy into segments of this `SIZE`: 2000M, 4G, or bytes; at least 1M; of raw at most 999 of them")
	f.StringVar(&o.caseDir, "case", "", "the case `FOLDER` (default: the case that FOLDER lies in)")
	f.StringVar(&o.key, "key", "", "`NAME` of the key that signs the record (default: the station's key that the case admits)")
	f.StringVar(&o.examiner, "examiner", "", "`NAME` of who converts; kept as a commitment (default: who opened the case)")
	o.pass.register(f, true)
}

// converting is an image to be copied, with the records behind it.
type converting struct {
	exhibit  string
	record   custody.Logged // of the image that is read
	original custody.Logged // of the acquisition; the same unless a copy is read
}

func runConvert(ctx context.Context, u *ui, folder string, o *convertOptions) error {
	opts, err := o.parse()
	if err != nil {
		return err
	}
	dir, err := filepath.Abs(folder)
	if err != nil {
		return err
	}
	caseDir := o.caseDir
	if caseDir == "" {
		caseDir = filepath.Dir(filepath.Dir(filepath.Dir(dir)))
	}
	c, err := openToAppend(u, caseDir)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // everything written is synced already
	source, err := openSource(dir)
	if err != nil {
		return err
	}
	defer source.Close() //nolint:errcheck // opened for reading only
	from, err := findSource(c, source, folder)
	if err != nil {
		return err
	}
	if err := unrestricted(c, from.exhibit); err != nil {
		return err
	}
	keys, err := unlock(c, o.key, record.TypeCopied, &o.pass)
	if err != nil {
		return err
	}
	return o.convert(ctx, u, c, source.FS(), folder, from, opts, keys)
}

// unrestricted refuses to copy an image of an exhibit on which a restriction lies. A copy that was made all the same is recorded,
// and is a gap.
func unrestricted(c *custody.Case, exhibit string) error {
	moments, err := c.History(exhibit)
	if err != nil || len(moments) == 0 {
		return err
	}
	var all []state.Breach
	for _, r := range moments[len(moments)-1].After.Restrictions {
		all = append(all, state.Breach{Rule: record.RuleRestricted, Reason: fmt.Sprintf("event %d restricts the exhibit (%s)", r.Number, r.Kind)})
	}
	if len(all) == 0 {
		return nil
	}
	return withHints(&custody.RuleError{Exhibit: exhibit, Type: record.TypeCopied, Breaches: all},
		fmt.Sprintf("a decision that lifts it is logged with: exhibit custody restrict %q --lift EVENT --authority ORDER", exhibit))
}

// convert does it, with everything opened.
func (o *convertOptions) convert(ctx context.Context, u *ui, c *custody.Case, source fs.FS, folder string, from *converting, opts acquire.CopyOptions, keys *unlocked) error {
	to, err := openDestinations(c, from.exhibit, "")
	if err != nil {
		return err
	}
	defer to.close()
	event := &record.Copied{Event: record.Header{Exhibit: from.exhibit}}
	openings, err := o.circumstances(c, folder, &event.Circumstances)
	if err != nil {
		return err
	}
	acquired := &from.original.Record.Acquisition
	p := newProgress(u)
	opts.Exhibit, opts.Labels, opts.Progress = from.exhibit, labelsOf(c, from.original.Openings), p
	opts.Original, opts.Source = reference(&from.original), reference(&from.record)
	event.Copy, err = acquire.Copy(ctx, acquire.CopySource{FS: source, Image: from.record.Image(), Medium: acquired.Medium, Acquired: acquired.Started}, to.all[0], opts)
	p.end()
	if err != nil {
		return convertError(err)
	}
	_, err = c.Append(ctx, event, openings, keys.signer, keys.log, now)
	if err == nil {
		err = sealCopy(u, c, to, from.exhibit, opts.ID, keys.info.Name)
	}
	if err != nil {
		partial := filepath.Join(to.home, opts.ID+layout.PartialSuffix)
		return withHints(fmt.Errorf("the copy is complete in %q, and not sealed: %w", partial, err),
			append(hintsFor(err), "if its record was logged all the same, this finishes it: exhibit image convert "+shellWord(partial)+"; if not, remove that folder and convert again")...)
	}
	return nil
}

// convertError gives what can go wrong its exit code.
func convertError(err error) error {
	switch {
	case errors.Is(err, acquire.ErrSource):
		return withHints(withCode(codeMismatch, err), "the image is damaged: see where with exhibit verify, and convert another copy of it")
	case errors.Is(err, fs.ErrNotExist) && !errors.Is(err, acquire.ErrOptions):
		return withHints(withCode(codeMissing, err), "a file of the acquisition is missing: see which with exhibit verify",
			"of an E01, what is there can be acquired anew, with a record and a map that list what is not: exhibit acquire FOLDER/NAME.E01 --incomplete --exhibit NUMBER")
	}
	return err
}

// parse turns the flags into options, before anything is opened.
func (o *convertOptions) parse() (acquire.CopyOptions, error) {
	if o.format == "" {
		return acquire.CopyOptions{}, withHints(errors.New("--format is required"), "say what the copy shall be: --format raw or --format e01")
	}
	like := acquireOptions{format: o.format, compression: o.compression}
	if err := like.checkFormat(); err != nil {
		return acquire.CopyOptions{}, err
	}
	segment, err := parseSize(o.split)
	if err != nil {
		return acquire.CopyOptions{}, withHints(err, "write a size as 2000M, 4G, or bytes")
	}
	id, err := layout.NewAcquisitionID(time.Now(), rand.Reader)
	return acquire.CopyOptions{ID: id, Format: o.format, Compression: o.compression, SegmentBytes: segment, Tool: thisTool(), Host: thisHost(), Clock: now}, err
}
