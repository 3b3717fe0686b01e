package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/exhibit-forensics/exhibit/acquire"
	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/acquire/rescue"
	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

type acquireDocument struct {
	Schema      string             `json:"schema"`
	Folder      string             `json:"folder"`
	Folders     []string           `json:"folders"` // of every destination, Folder first
	Exhibit     string             `json:"exhibit"`
	Index       int64              `json:"index"`
	Acquisition record.Acquisition `json:"acquisition"`
	// Quote is what the TPM says of how the station was started.
	Quote record.Fact[quoteDocument] `json:"quote"`
	Stats []phaseDocument            `json:"stats,omitzero"`
}

type acquireOptions struct {
	caseDir, key, exhibit, examiner, description string
	format, compression, split, hash, size       string
	resume, also                                 string
	onError, maxBad, live, blocker, despite      string
	takeOver, mapFile                            string
	retries                                      int64
	noReread, keepWritable, wasWritable          bool
	asFile, incomplete, stats                    bool
	readTimeout, deviceTimeout                   time.Duration
	pass                                         passphraseFlags
}

func newAcquireCommand(u *ui) *cobra.Command {
	var o acquireOptions
	return newCommand(command{
		use: "acquire {MEDIUM | [MEDIUM] --resume FOLDER}", short: "Image a medium, sign the record, log it",
		long: "Read every byte of MEDIUM once, hash it with BLAKE3 and SHA-256, write the image, read it back, sign the record and\n" +
			"enter it in the case's log. MEDIUM is a block device, a file, serial:NUMBER, wwn:NUMBER, or - for standard input. The\n" +
			"keys are unlocked and tried before the first byte is read.\n\n" +
			"Of an E01 image, whose first file is named, the medium inside it is acquired; the MD5 and SHA-1 that it states are\n" +
			"computed too, and if one does not hold, that is said when all is signed and sealed (exit 4).\n\n" +
			"Where MEDIUM cannot be read, the rest is read first and the bad places last, sector by sector; what stays unread is\n" +
			"zeros in the image and listed in a map that ddrescue understands (exit 3). An e01 is written in order, so there bad\n" +
			"places are tried as they come; with --on-error rescue the medium is acquired as raw, and that is copied to an e01.\n\n" +
			"A run that was stopped leaves a folder that ends in .partial. Whatever is missing, reading, reading back or signing, is\n" +
			"done by: exhibit acquire [MEDIUM] --resume FOLDER. What was safe is not read again.\n\n" +
			"Where a TPM holds the key that signs, it also quotes how this station was started, for the record. If it cannot, that is\n" +
			"said, and the acquisition stands without.\n\n" +
			"What ddrescue has read already need not be read again: --take-over IMAGE --map MAPFILE copies what the map calls\n" +
			"finished, and reads the rest. The record says which bytes were not read from MEDIUM.",
		example: "  exhibit acquire /dev/sdb --exhibit 7 --case case-2026-001\n" +
			"  exhibit acquire /dev/sdb --exhibit 7 --format e01 --split 2000M\n" +
			"  exhibit acquire serial:ZA1B2C3D --exhibit 8 --also /mnt/copy --retries 3\n" +
			"  exhibit acquire /dev/sdc --resume case-2026-001/exhibits/7/20261123T081500Z-1a2b3c4d.partial",
		args: cobra.MaximumNArgs(1), codes: []int{codeUnread, codeMismatch, codeMissing, codeResumable, codeInterrupted},
		flags: o.register,
		run: func(cmd *cobra.Command, args []string) error {
			if o.resume != "" {
				return runResume(cmd, u, args, &o)
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
	f.StringVar(&o.format, "format", record.FormatRaw, "`FORMAT` of the image: raw or e01")
	f.StringVar(&o.compression, "compression", "", "of an e01, how hard it is compressed, in a `WORD`: none, fast (the default), best")
	f.StringVar(&o.split, "split", "", "cut the image into segments of this `SIZE`: 2000M, 4G, or bytes; at least 1M; of raw at most 999 of them")
	f.StringVar(&o.hash, "hash", "", "digests beside BLAKE3 and SHA-256: a `LIST` of md5, sha1, sha512, or none (default: none; of an e01 md5)")
	f.StringVar(&o.size, "size", "", "the `SIZE` of what standard input gives, which an e01 must know: 2000M, 4G, or bytes")
	f.BoolVar(&o.noReread, "no-reread", false, "do not read the image back; the record will say so, and a read error stops")
	f.StringVar(&o.also, "also", "", "write a second, equal image into this `FOLDER`; if one place fails, the other goes on")
	f.StringVar(&o.onError, "on-error", "", "at a place that cannot be read, what `WORD` says: rescue what can be read (the default of raw), inplace (that of e01), or stop")
	f.Int64Var(&o.retries, "retries", 0, "try each unreadable sector `N` times more; in a rescue at the end")
	f.StringVar(&o.maxBad, "max-bad", "", "stop, to be resumed, when more than this `SIZE` is unreadable: bad sectors, and what more than 32 failed reads in a row asked for (default: no bound; inplace 1M)")
	f.DurationVar(&o.readTimeout, "read-timeout", 10*time.Minute, "give the medium up, to be resumed, when one read takes longer than this `TIME`")
	f.DurationVar(&o.deviceTimeout, "device-timeout", 0, "let the kernel wait this `TIME` for a command; put back at the end (default: as it is)")
	f.Lookup("device-timeout").DefValue = ""
	f.BoolVar(&o.keepWritable, "keep-writable", false, "leave the kernel's read-only flag of the device as it is")
	f.BoolVar(&o.asFile, "as-file", false, "read an E01 image as the file it is, not the medium inside it")
	f.BoolVar(&o.incomplete, "incomplete", false, "read an E01 image of which segments are missing: what stood in them is unread, and listed")
	f.StringVar(&o.live, "live", "", "read a medium that is in use, because of `REASON`")
	f.StringVar(&o.blocker, "write-blocker", "", "the hardware write blocker before the medium, in `WORDS`: make, model, serial")
	f.StringVar(&o.resume, "resume", "", "finish the .partial `FOLDER` of a run that was stopped")
	f.StringVar(&o.despite, "despite", "", "with --resume or --take-over: go on although the medium reads differently, or gives nothing to compare, because of `REASON`")
	f.StringVar(&o.takeOver, "take-over", "", "copy from this `IMAGE` of ddrescue what --map calls finished, and read the rest")
	f.StringVar(&o.mapFile, "map", "", "the `MAPFILE` of ddrescue that belongs to --take-over")
	f.BoolVar(&o.stats, "stats", false, "say where the time went: reading, each digest, compressing, writing")
	o.pass.register(f, true)
}

func runAcquire(ctx context.Context, u *ui, path string, o *acquireOptions) error {
	opts, err := o.parse()
	if err != nil {
		return err
	}
	if o.size != "" && path != "-" {
		return misused(errors.New("--size is for standard input: of a device or a file the whole is read, and never a part"), "leave --size out")
	}
	c, err := openToAppend(u, o.caseDir)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // everything written is synced already
	keys, err := unlock(c, o.key, record.TypeAcquired, &o.pass)
	if err != nil {
		return err
	}
	m, err := o.openMedium(ctx, u, path)
	if err != nil {
		return err
	}
	defer m.Close() //nolint:errcheck // opened for reading only
	take, takeDone, err := o.openTakeOver(ctx)
	if err != nil {
		return err
	}
	defer takeDone()
	opts.TakeOver = take
	warnGaps(u, c, opts.Exhibit)
	to, err := openDestinations(c, opts.Exhibit, o.also)
	if err != nil {
		return err
	}
	defer to.close()
	if err := o.circumstances(c, path, &opts); err != nil {
		return err
	}
	opts.Labels = o.labels(c, &opts)
	if o.rescueFirst() {
		if err := o.prepareRescueFirst(c, m, keys, &opts); err != nil {
			return err
		}
	}
	p := newProgress(u)
	opts.Progress, opts.Attest, opts.Stats = p, keys.signer.Sign, o.newStats()
	res, err := acquire.Acquire(ctx, m, to.all, opts)
	p.end()
	if err != nil {
		return o.explainTake(to.explain(path, opts.ID, err))
	}
	err = signAndSeal(ctx, u, c, to, opts.Exhibit, opts.ID, keys, res.Lost, opts.Stats)
	if err != nil || !o.rescueFirst() {
		return err
	}
	return o.convertRescued(ctx, u, c, to.sealedFolder(opts.ID), keys)
}

// openMedium opens a device, a file or standard input, and says what was noticed about it.
func (o *acquireOptions) openMedium(ctx context.Context, u *ui, path string) (*medium.Medium, error) {
	m, err := medium.OpenWith(ctx, path, medium.Options{Stdin: u.stdin, ReadTimeout: o.readTimeout, DeviceTimeout: o.deviceTimeout,
		Live: o.live != "", KeepWritable: o.keepWritable, WasWritable: o.wasWritable, AsFile: o.asFile, Incomplete: o.incomplete})
	if err != nil {
		return nil, missingSegment(err)
	}
	state := m.State()
	for _, n := range state.Notes {
		u.notef("%s", clean(n))
	}
	for _, n := range state.Users {
		u.notef("while it is read the device is %s", clean(n))
	}
	return m, nil
}

// destinations are the exhibit's folder, and the folder of --also.
type destinations struct {
	all   []acquire.Destination
	roots []*durable.Root
	home  string // the exhibit's folder in the case
}

func openDestinations(c *custody.Case, exhibit, also string) (*destinations, error) {
	root, dir, err := c.ExhibitFolder(exhibit)
	if err != nil {
		return nil, err
	}
	to := &destinations{[]acquire.Destination{{Root: root, Dir: dir}}, []*durable.Root{root}, dir}
	if also == "" {
		return to, nil
	}
	if root, err = durable.OpenRoot(also); err != nil {
		to.close()
		return nil, withHints(fmt.Errorf("second destination %q: %w", also, err), "name a folder that exists: --also FOLDER")
	}
	to.all = append(to.all, acquire.Destination{Root: root, Dir: also})
	to.roots = append(to.roots, root)
	if err := errors.Join(differ(to.roots[0], root), outsideCase(also, filepath.Dir(filepath.Dir(dir)))); err != nil {
		to.close()
		return nil, err
	}
	return to, nil
}

// differ refuses one folder under two names.
func differ(first, second *durable.Root) error {
	a, err := fs.Stat(first.FS(), ".")
	if err != nil {
		return err
	}
	b, err := fs.Stat(second.FS(), ".")
	if err != nil {
		return err
	}
	if os.SameFile(a, b) {
		return misused(fmt.Errorf("second destination %q: it is the exhibit's own folder", second.Name()), "name another folder, best on another disk: --also FOLDER")
	}
	return nil
}

// outsideCase refuses a place among the case's own files, where the copy would be taken for one of them.
func outsideCase(also, caseDir string) error {
	var paths [2]string
	for i, dir := range []string{also, caseDir} {
		abs, err := filepath.Abs(dir)
		if err == nil {
			paths[i], err = filepath.EvalSymlinks(abs)
		}
		if err != nil {
			return err
		}
	}
	if rel, err := filepath.Rel(paths[1], paths[0]); err == nil && filepath.IsLocal(rel) {
		return misused(fmt.Errorf("second destination %q: it lies in the case's folder", also), "name a folder outside the case, best on another disk: --also FOLDER")
	}
	return nil
}

func (t *destinations) close() {
	for _, r := range t.roots {
		r.Close() //nolint:errcheck // everything written is synced already
	}
}

// explain says how to go on after an error, where that is possible: exit 6.
func (t *destinations) explain(path, id string, err error) error {
	if code := exitCode(err); code == codeMismatch || errors.Is(err, acquire.ErrMediumChanged) || errors.Is(err, acquire.ErrExists) || errors.Is(err, acquire.ErrOptions) {
		return err
	}
	left := t.left(id)
	if len(left) == 0 && path == "-" {
		return withHints(err, append(hintsFor(err), "a stream cannot be gone on from: give all of it again, to a new acquisition")...)
	}
	if len(left) == 0 {
		return err
	}
	code := codeResumable
	if c := exitCode(err); c == codeInterrupted {
		code = c
	}
	hint := t.goOnHint(path, id, left)
	if errors.Is(err, rescue.ErrTooManyBad) { // the same bound would stop it at the same place
		hint += " --max-bad SIZE, with a larger bound"
	}
	return withHints(withCode(code, err), append(hintsFor(err), hint)...)
}

// left are the folders that can be gone on from. One that was lost before the other is offered only where it is that of the
// case: the way to the case goes by its name, though the reading goes on from the other.
func (t *destinations) left(id string) (dirs []string) {
	states := map[string]acquire.State{}
	for _, d := range t.all {
		root, err := d.Root.Sub(id + layout.PartialSuffix)
		if err != nil {
			continue
		}
		if s, err := acquire.ReadState(root); errors.Join(err, root.Close()) == nil {
			states[d.Dir] = s
			dirs = append(dirs, d.Dir)
		}
	}
	if len(dirs) == 2 {
		a, b := states[dirs[0]], states[dirs[1]]
		if b.Behind(&a) > 1 {
			return dirs[:1]
		}
	}
	return dirs
}

// goOnHint is the command that goes on at the folders that are left.
func (t *destinations) goOnHint(path, id string, left []string) string {
	partial := shellWord(filepath.Join(left[0], id+layout.PartialSuffix))
	if left[0] != t.home {
		return fmt.Sprintf("what is left lies in %s: when the case's folder can be reached, put it there as %s, and go on with: exhibit acquire %s --resume FOLDER",
			partial, shellWord(filepath.Join(t.home, id+layout.PartialSuffix)), shellWord(path))
	}
	hint := fmt.Sprintf("go on with: exhibit acquire %s", strings.TrimSpace(shellWord(path)+" --resume "+partial))
	if len(left) > 1 {
		hint += " --also " + shellWord(left[1])
	}
	return hint
}

// shellWord quotes what a shell would take apart, so that a hint can be typed as it stands.
func shellWord(s string) string {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._:-") == "" {
		return s
	}
	if strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar }) < 0 {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	var b strings.Builder
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' || c == '\'' || c == '\\' {
			fmt.Fprintf(&b, `\x%02x`, c)
			continue
		}
		b.WriteByte(c)
	}
	return "$'" + b.String() + "'"
}

// circumstances commits to what is personal: the record carries commitments, the openings lie beside it.
func (o *acquireOptions) circumstances(c *custody.Case, path string, opts *acquire.Options) error {
	examiner := o.examiner
	if examiner == "" {
		examiner = openedBy(c)
	}
	var err error
	k := &opts.Circumstances
	if k.CommandLine, err = opts.Openings.Commit(rand.Reader, "/circumstances/commandLine", commandLine()); err != nil {
		return err
	}
	if k.MediumPath, err = opts.Openings.Commit(rand.Reader, "/circumstances/mediumPath", clean(path)); err != nil {
		return err
	}
	for _, f := range []struct {
		field               *record.Fact[record.Personal]
		name, value, reason string
	}{
		{&k.Despite, "despite", o.despite, "not given"}, {&k.Examiner, "examiner", examiner, "not given"}, {&k.Description, "description", o.description, "not given"},
		{&k.Host, "host", hostName(), "the system did not say"},
		{&k.Live, "live", o.live, "not given"}, {&k.WriteBlocker, "writeBlocker", o.blocker, "not given"},
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

// commandLine is what was typed, in one line.
func commandLine() string {
	var words []string
	for _, a := range os.Args {
		words = append(words, strconv.QuoteToGraphic(a))
	}
	return strings.Join(words, " ")
}
