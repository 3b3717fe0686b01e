package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/exhibit-forensics/exhibit/acquire"
	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

type acquireDocument struct {
	Schema      string             `json:"schema"`
	Folder      string             `json:"folder"`
	Exhibit     string             `json:"exhibit"`
	Index       int64              `json:"index"`
	Acquisition record.Acquisition `json:"acquisition"`
}

type acquireOptions struct {
	caseDir, key, exhibit, examiner, description string
	format, split, hash, resume                  string
	noReread                                     bool
	pass                                         passphraseFlags
}

func newAcquireCommand(u *ui) *cobra.Command {
	var o acquireOptions
	return newCommand(command{
		use: "acquire {MEDIUM | --resume FOLDER}", short: "Image a medium, sign the record, log it",
		long: "Read every byte of MEDIUM once, hash it with BLAKE3 and SHA-256, write the image, read it back, sign the record and\n" +
			"enter it in the case's log. MEDIUM is a block device, a file, or - for standard input. The keys are unlocked and\n" +
			"tried before the first byte is read.\n\n" +
			"A run that was stopped leaves a folder that ends in .partial. When the image was complete and only the record is not\n" +
			"signed yet (exit 6), finish it with: exhibit acquire --resume FOLDER",
		example: "  exhibit acquire /dev/sdb --exhibit 7 --case case-2026-001\n  exhibit acquire disk.img --exhibit 8 --split 2G --hash md5",
		args:    cobra.MaximumNArgs(1), codes: []int{codeMismatch, codeMissing, codeResumable, codeInterrupted},
		flags: o.register,
		run: func(cmd *cobra.Command, args []string) error {
			if o.resume != "" {
				return runResume(cmd.Context(), u, args, &o)
			}
			if len(args) == 0 {
				return withHints(errors.New("no MEDIUM was named"), "see: exhibit acquire -h")
			}
			return runAcquire(cmd.Context(), u, args[0], &o)
		},
	})
}

func (o *acquireOptions) register(f *pflag.FlagSet) {
	f.StringVar(&o.exhibit, "exhibit", "", "the exhibit's `NUMBER` (required)")
	f.StringVar(&o.caseDir, "case", ".", "the case `FOLDER`")
	f.StringVar(&o.key, "key", "", "`NAME` of the key that signs the record (default: the station's key that the case admits)")
	f.StringVar(&o.examiner, "examiner", "", "`NAME` of the examiner; kept as a commitment (default: who opened the case)")
	f.StringVar(&o.description, "description", "", "the medium as you see it, in `WORDS`: label, damage")
	f.StringVar(&o.format, "format", record.FormatRaw, "`FORMAT` of the image; this version knows raw")
	f.StringVar(&o.split, "split", "", "cut the image into segments of this `SIZE`: 2000M, 4G, or bytes; at least 1M, at most 999 segments")
	f.StringVar(&o.hash, "hash", "", "digests beside BLAKE3 and SHA-256: a `LIST` of md5, sha1, sha512")
	f.BoolVar(&o.noReread, "no-reread", false, "do not read the image back; the record will say so")
	f.StringVar(&o.resume, "resume", "", "finish the .partial `FOLDER` of a complete image whose record is not signed yet")
	o.pass.register(f, true)
}

func runAcquire(ctx context.Context, u *ui, path string, o *acquireOptions) error {
	opts, err := o.parse()
	if err != nil {
		return err
	}
	c, err := openToAppend(u, o.caseDir)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // everything written is synced already
	keys, err := unlock(c.Genesis(), o.key, record.TypeAcquired, &o.pass)
	if err != nil {
		return err
	}
	m, err := medium.Open(ctx, path, u.stdin)
	if err != nil {
		return err
	}
	defer m.Close() //nolint:errcheck // opened for reading only
	warnUnseized(u, c, opts.Exhibit)
	root, dir, err := c.ExhibitFolder(opts.Exhibit)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // everything written is synced already
	if err := o.circumstances(c, path, &opts); err != nil {
		return err
	}
	p := newProgress(u)
	opts.Progress, opts.Attest = p, keys.signer.Sign
	_, err = acquire.Acquire(ctx, m, []acquire.Destination{{Root: root, Dir: dir}}, opts)
	p.end()
	if err != nil {
		return err
	}
	return signAndSeal(ctx, u, c, root, dir, opts.Exhibit, opts.ID, keys)
}

// warnUnseized says in time what a mistyped number, or a log that cannot be read, will lead to. It stops nothing: the
// medium may not be there tomorrow.
func warnUnseized(u *ui, c *custody.Case, exhibit string) {
	seized, err := c.HasEvents(exhibit)
	switch {
	case err != nil:
		u.notef("the log cannot be read (%s): the image is made, its record waits until the log is mended", clean(err.Error()))
	case !seized:
		u.notef("exhibit %s was never seized in this case: is the number right? The acquisition is logged, and verify shows a gap", clean(exhibit))
	}
}

// parse turns the flags into options, before anything is opened.
func (o *acquireOptions) parse() (acquire.Options, error) {
	fail := func(err error, hints ...string) (acquire.Options, error) {
		return acquire.Options{}, withHints(err, hints...)
	}
	if o.exhibit == "" {
		return fail(errors.New("--exhibit is required"), "give the number of the exhibit the medium belongs to: --exhibit NUMBER")
	}
	if err := checkNumber(o.exhibit); err != nil {
		return fail(err)
	}
	if o.format != record.FormatRaw {
		return fail(fmt.Errorf("format %q is not known in this version", o.format), "this version writes: raw")
	}
	segment, err := parseSize(o.split)
	if err != nil {
		return fail(err, "write a size as 2000M, 4G, or bytes")
	}
	extra, err := parseAlgorithms(o.hash)
	if err != nil {
		return fail(err, "the list may hold: md5, sha1, sha512")
	}
	id, err := layout.NewAcquisitionID(time.Now(), rand.Reader)
	if err != nil {
		return fail(err)
	}
	return acquire.Options{Exhibit: o.exhibit, ID: id, SegmentBytes: segment, Extra: extra, Reread: !o.noReread,
		Tool: thisTool(), Host: thisHost(), Clock: now}, nil
}

func parseSize(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	digits := strings.TrimRight(text, "KMGTkmgt")
	shift := map[string]int{"": 0, "K": 10, "M": 20, "G": 30, "T": 40}
	s, ok := shift[strings.ToUpper(text[len(digits):])]
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || !ok || n <= 0 || n > (1<<53-1)>>s {
		return 0, fmt.Errorf("size %.40q is no size", text)
	}
	return n << s, nil
}

func parseAlgorithms(list string) ([]record.Algorithm, error) {
	if list == "" {
		return nil, nil
	}
	var out []record.Algorithm
	for word := range strings.SplitSeq(list, ",") {
		alg := record.Algorithm(strings.ToLower(strings.TrimSpace(word)))
		if !slices.Contains([]record.Algorithm{record.MD5, record.SHA1, record.SHA512}, alg) {
			return nil, fmt.Errorf("digest %.40q is not known, or is always computed", word)
		}
		if slices.Contains(out, alg) {
			return nil, fmt.Errorf("digest %q is named twice", alg)
		}
		out = append(out, alg)
	}
	slices.Sort(out)
	return out, nil
}

// circumstances commits to what is personal: the record carries commitments, the openings lie beside it.
func (o *acquireOptions) circumstances(c *custody.Case, path string, opts *acquire.Options) error {
	examiner := o.examiner
	if examiner == "" {
		examiner = openedBy(c)
	}
	var words []string
	for _, a := range os.Args {
		words = append(words, strconv.QuoteToGraphic(a))
	}
	var err error
	k := &opts.Circumstances
	if k.CommandLine, err = opts.Openings.Commit(rand.Reader, "/circumstances/commandLine", strings.Join(words, " ")); err != nil {
		return err
	}
	if k.MediumPath, err = opts.Openings.Commit(rand.Reader, "/circumstances/mediumPath", clean(path)); err != nil {
		return err
	}
	for _, f := range []struct {
		field               *record.Fact[record.Personal]
		name, value, reason string
	}{
		{&k.Examiner, "examiner", examiner, "not given"}, {&k.Description, "description", o.description, "not given"},
		{&k.Host, "host", hostName(), "the system did not say"},
	} {
		if *f.field, err = opts.Openings.CommitFact(rand.Reader, "/circumstances/"+f.name, f.value, f.reason); err != nil {
			return err
		}
	}
	return nil
}

// openedBy is the name in the genesis' openings, or empty. A log that cannot be read is no reason not to image: the medium
// may not be there tomorrow, and the record can be logged when the log is whole again.
func openedBy(c *custody.Case) string {
	name := ""
	if e, err := c.Entry(0); err == nil {
		name, _ = e.Openings.Value("/openedBy")
	}
	return name
}

// runResume signs, logs and seals a complete image whose record is not signed yet, or was signed and not sealed.
func runResume(ctx context.Context, u *ui, args []string, o *acquireOptions) error {
	if len(args) > 0 || o.exhibit != "" || o.caseDir != "." || o.format != record.FormatRaw || o.split != "" || o.hash != "" || o.noReread || o.examiner != "" || o.description != "" {
		return withHints(errors.New("--resume takes the medium and everything else from the folder"),
			"type only: exhibit acquire --resume FOLDER, with --key and --passphrase-file where needed")
	}
	dir, err := filepath.Abs(o.resume)
	if err != nil {
		return err
	}
	id := strings.TrimSuffix(filepath.Base(dir), layout.PartialSuffix)
	if !record.ValidAcquisitionID(id) {
		return withHints(fmt.Errorf("%q is no acquisition folder", o.resume), "name the folder that ends in "+layout.PartialSuffix)
	}
	exhibitDir := filepath.Dir(dir)
	c, err := openToAppend(u, filepath.Dir(filepath.Dir(exhibitDir)))
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // everything written is synced already
	number, err := layout.Decode(filepath.Base(exhibitDir))
	if err != nil {
		return err
	}
	root, dir, err := c.ExhibitFolder(number)
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // everything written is synced already
	if err := resumable(root, number, id); err != nil {
		return err
	}
	keys, err := unlock(c.Genesis(), o.key, record.TypeAcquired, &o.pass)
	if err != nil {
		return err
	}
	return signAndSeal(ctx, u, c, root, dir, number, id, keys)
}

// resumable requires, before a passphrase is asked for, a finished record in the folder, or a statement: what a sealing
// that was interrupted at its last step leaves.
func resumable(root *durable.Root, exhibit, id string) error {
	if _, err := root.Lstat(id); err == nil {
		return fmt.Errorf("acquisition %s is sealed already: there is nothing to resume", id)
	}
	partial, err := root.Sub(id + layout.PartialSuffix)
	if err != nil {
		return err
	}
	if _, err = partial.Lstat(layout.Statement); errors.Is(err, fs.ErrNotExist) {
		_, err = readUnsigned(partial, exhibit, id)
	}
	err = errors.Join(err, partial.Close())
	if errors.Is(err, acquire.ErrUnfinished) {
		return withHints(err, "this version resumes only signing: acquire the medium again; the .partial folder stays as it is")
	}
	return err
}

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
func signAndSeal(ctx context.Context, u *ui, c *custody.Case, root *durable.Root, dir, exhibit, id string, keys *unlocked) error {
	doc, err := logAndSeal(ctx, c, root, exhibit, id, keys)
	if err != nil {
		partial := filepath.Join(dir, id+layout.PartialSuffix)
		code := codeResumable
		if c := exitCode(err); c == codeMismatch || c == codeInterrupted {
			code = c
		}
		return withHints(withCode(code, fmt.Errorf("the image is complete in %q, its record is not yet signed and sealed: %w", partial, err)),
			append(hintsFor(err), "then finish it with: exhibit acquire --resume "+strconv.Quote(partial))...)
	}
	doc.Folder = filepath.Join(dir, id)
	return u.result(doc, func() {
		a := doc.Acquisition
		u.linef("Acquired exhibit %s: %s in %s", clean(doc.Exhibit), size(a.Medium.SizeBytes), fileCount(a))
		for _, d := range a.Digests {
			u.linef("  %-7s %s", d.Digest.Algorithm(), d.Digest.Hex())
		}
		u.linef("Read back: %s", rereadText(a.Reread))
		u.linef("Record:    entry %d of log %s, signed by key %q", doc.Index, c.Genesis().Origin, keys.info.Name)
		u.linef("Folder:    %s", clean(doc.Folder))
	})
}

func logAndSeal(ctx context.Context, c *custody.Case, root *durable.Root, exhibit, id string, keys *unlocked) (acquireDocument, error) {
	logged, found, err := c.FindAcquisition(exhibit, id)
	if err == nil && !found {
		if err = logUnsigned(ctx, c, root, exhibit, id, keys); err == nil {
			logged, found, err = c.FindAcquisition(exhibit, id)
		}
	}
	if err == nil && !found {
		err = errors.New("the record was appended but the log does not show it")
	}
	if err != nil {
		return acquireDocument{}, err
	}
	sealed := acquire.SealFiles{Statement: logged.Statement, Personal: logged.Personal, Proof: logged.Proof, Genesis: logged.Genesis}
	if err := acquire.Seal(root, id, sealed); err != nil {
		return acquireDocument{}, err
	}
	return acquireDocument{Schema: "exhibit-acquire/v1", Exhibit: exhibit, Index: logged.Index, Acquisition: logged.Record.Acquisition}, nil
}

// logUnsigned signs the finished record in the .partial folder and logs it.
func logUnsigned(ctx context.Context, c *custody.Case, root *durable.Root, exhibit, id string, keys *unlocked) error {
	partial, err := root.Sub(id + layout.PartialSuffix)
	if err != nil {
		return err
	}
	un, err := readUnsigned(partial, exhibit, id)
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
