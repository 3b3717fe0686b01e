package main

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

type importDocument struct {
	Schema      string `json:"schema"`
	Origin      string `json:"origin"`
	Agency      string `json:"agency"`
	Fingerprint string `json:"fingerprint"`
	Entries     int64  `json:"entries"`
	Added       int64  `json:"added"`
	Anchored    bool   `json:"anchored"`
	// Of an extract.
	Exhibit string `json:"exhibit,omitzero"`
	Count   int64  `json:"count,omitzero"`
}

// checkNewFile requires, before anything is signed, that a file can be made there.
func checkNewFile(name string) error {
	if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		return withHints(fmt.Errorf("%q: %w", name, errors.Join(err, fs.ErrExist)), "nothing is overwritten: name a file that does not exist")
	}
	info, err := os.Stat(filepath.Dir(name))
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%q is no folder", filepath.Dir(name))
	}
	return err
}

// writeLog writes the home log as one file, to be carried to whoever else keeps a log in the case. It stands under its name
// only when it is complete. Of names and free text it holds those of one exhibit, or all when exhibit is empty; redact is as of custody.Case.Export.
func writeLog(c *custody.Case, exhibit string, redact bool, file string) (size int64, err error) {
	err = writeArchive(file, layout.MaxHandedOver, func(write func(name string, data []byte) error) error {
		l, err := c.Export(exhibit, redact, write)
		if err == nil {
			size = l.Size()
		}
		return err
	})
	if errors.Is(err, errTooLarge) {
		err = withHints(err, "carry the folder of the log itself, with the folder keys of the case copied into it: a folder with the same files will do")
	}
	if err != nil {
		return 0, err
	}
	return size, nil
}

// errTooLarge says that nobody could read the file that would be written.
var errTooLarge = errors.New("it would be larger than those who read it allow")

// writeArchive writes what fill hands over into one new file of at most max bytes, which stands under its name only when it is
// complete.
func writeArchive(file string, max int64, fill func(write func(name string, data []byte) error) error) error {
	if err := checkNewFile(file); err != nil {
		return err
	}
	root, err := durable.OpenRoot(filepath.Dir(file))
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // what was written is synced already
	base := filepath.Base(file)
	partial := base + layout.PartialSuffix
	if err := root.Remove(partial); err != nil && !errors.Is(err, fs.ErrNotExist) { // of an export that was killed
		return err
	}
	f, err := root.OpenEx(partial)
	if err != nil {
		return err
	}
	out := &bounded{to: f, left: max}
	z := zip.NewWriter(out)
	err = fill(func(name string, data []byte) error {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate})
		if err == nil {
			_, err = w.Write(data)
		}
		return err
	})
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %q: %w", file, err), f.Abort(), root.Remove(partial))
	}
	if err := f.Seal(); err != nil {
		return err
	}
	return root.Rename(partial, base)
}

// bounded writes no more than is left.
type bounded struct {
	to   io.Writer
	left int64
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, errTooLarge
	}
	return b.to.Write(p)
}

// openForeign opens a log that was handed over: the file that writeLog made, or a folder with the same files. The caller
// calls release when nothing of it is needed any more.
func openForeign(ctx context.Context, name string) (f *custody.Foreign, release func(), err error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, nil, err
	}
	var fsys fs.FS
	switch {
	case strings.HasSuffix(name, layout.ExtractSuffix):
		return nil, nil, misused(fmt.Errorf("%q is an extract, and the whole log is wanted here", name), "an extract is taken in with: exhibit log import; ask for the log: exhibit log export FILE")
	case info.IsDir():
		root, err := os.OpenRoot(name)
		if err != nil {
			return nil, nil, err
		}
		fsys, release = root.FS(), func() { _ = root.Close() } // it was only read
	case !info.Mode().IsRegular() || info.Size() > layout.MaxHandedOver:
		return nil, nil, misused(fmt.Errorf("%q is no file of at most %d bytes", name, int64(layout.MaxHandedOver)))
	default:
		file, err := os.Open(name)
		if err != nil {
			return nil, nil, err
		}
		release = func() { _ = file.Close() } // it was only read
		if fsys, err = ledger.OpenArchive(file, info.Size()); err != nil {
			release()
			return nil, nil, refused(fmt.Errorf("%q: %w", name, err))
		}
	}
	if f, err = custody.OpenForeign(ctx, fsys); err != nil {
		release()
		return nil, nil, refused(fmt.Errorf("%q: %w", name, err))
	}
	return f, release, nil
}

// refused says what to do about a file that is not the log that somebody wrote.
func refused(err error) error {
	if exitCode(err) != codeMismatch {
		return err
	}
	return withHints(err, "nothing of it counts and nothing was written: ask for it once more, by another way")
}

type importOptions struct {
	caseDir, key string
	pass         passphraseFlags
}

func newLogImportCommand(u *ui) *cobra.Command {
	var o importOptions
	return newCommand(command{
		use: "import FILE", short: "Take in the log of another station or agency of the case, or one exhibit's entries of it",
		long: "Take in the log of another station or agency of the case: a handover, an answer, or what exhibit log export FILE wrote; a\n" +
			"folder with the same files will do. The log must be whole, and go on from what the case holds of it; of a log with two\n" +
			"histories both are kept as evidence. Its newest checkpoint becomes an entry of the home log. To take a log in is no\n" +
			"reason to trust it: compare its fingerprint, and see exhibit trust add -h.\n\n" +
			"Of an extract (FILE" + layout.ExtractSuffix + ") one exhibit's events are taken in, when it shows that its log goes on from all that is known of\n" +
			"it here; if the proof lacks, the message says which one to ask for.",
		example: "  exhibit log import answer.log --case case-2026-001",
		args:    cobra.ExactArgs(1), codes: []int{codeMismatch, codeMissing, codeInterrupted},
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&o.caseDir, "case", ".", "the case `FOLDER`")
			f.StringVar(&o.key, "key", "", "`NAME` of the person's key that signs the entry (default: the one the case admits)")
			o.pass.register(f, true)
		},
		run: func(cmd *cobra.Command, args []string) error {
			if strings.HasSuffix(args[0], layout.ExtractSuffix) {
				return importExtract(cmd.Context(), u, args[0], &o)
			}
			return runLogImport(cmd.Context(), u, args[0], &o)
		},
	})
}

func runLogImport(ctx context.Context, u *ui, name string, o *importOptions) error {
	c, err := openMaybeClosed(u, o.caseDir)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // everything written is synced already
	f, release, err := openForeign(ctx, name)
	if err != nil {
		return err
	}
	defer release()
	added, err := takeLog(ctx, c, f)
	if err != nil {
		return err
	}
	anchored, err := o.logTaken(u, c, func(k *unlocked) (bool, error) { return c.Anchor(ctx, f.Genesis.Origin, k.signer, k.log, now) })
	if err != nil {
		return err
	}
	return showImport(u, f, added, anchored)
}

// logTaken logs, by anchor, that something was taken in. A log that was closed takes no more in.
func (o *importOptions) logTaken(u *ui, c *custody.Case, anchor func(*unlocked) (bool, error)) (anchored bool, err error) {
	_, closed, err := c.Closed()
	if err != nil {
		return false, err
	}
	if closed {
		u.notef("the home log was closed, so that it does not take the checkpoint in: nothing shows later what that log was now")
		return false, nil
	}
	keys, err := unlock(c, o.key, record.TypeAnchored, &o.pass)
	if err == nil {
		anchored, err = anchor(keys)
	}
	if err != nil {
		return false, withHints(err, "it was taken in; repeat the command to log that")
	}
	return anchored, nil
}

// takeLog imports a log and says what to do when it is refused.
func takeLog(ctx context.Context, c *custody.Case, f *custody.Foreign) (int64, error) {
	added, err := c.Import(ctx, f)
	switch fork := (*ledger.ForkError)(nil); {
	case errors.As(err, &fork):
		return 0, withHints(err, "nothing more can be had from that log: ask who keeps it, and verify both histories against other copies")
	case isBehind(err):
		return 0, withHints(withCode(codeMissing, err), "an extract that is here shows more of it: ask for the log as it is now")
	case errors.Is(err, custody.ErrStrange), errors.Is(err, custody.ErrExists):
		return 0, misused(err, "a log joins a case with: exhibit case join")
	case errors.Is(err, record.ErrMalformed):
		return 0, withHints(err, "nothing of it counts: ask for it once more, by another way")
	}
	return added, err
}

func isBehind(err error) bool {
	_, behind := errors.AsType[*custody.BehindError](err)
	return behind
}

func showImport(u *ui, f *custody.Foreign, added int64, anchored bool) error {
	doc := importDocument{Schema: "exhibit-import/v1", Origin: f.Genesis.Origin, Agency: f.Genesis.Agency, Fingerprint: f.Leaf.String(), Entries: f.Log.Size(),
		Added: added, Anchored: anchored}
	return u.result(doc, func() {
		u.linef("Took in log %s, %s (%d new)", doc.Origin, entriesText(doc.Entries), doc.Added)
		u.linef("Agency:      %s", clean(doc.Agency))
		u.linef("Fingerprint: %s", sign.Fingerprint(doc.Fingerprint))
		if doc.Anchored {
			u.linef("Its checkpoint is an entry of the home log now.")
		}
		u.linef("Trust it only when the fingerprint was compared by telephone or in person: exhibit trust add genesis %s --name NAME", doc.Fingerprint)
	})
}

type joinOptions struct {
	caseCreateOptions
	from string
}

func newCaseJoinCommand(u *ui) *cobra.Command {
	var o joinOptions
	return newCommand(command{
		use: "join DIR", short: "Open a log for another station or agency in a case that others have",
		long: "Open a log for this station or agency in a case that others have: make its own case folder DIR, whose genesis names the\n" +
			"log that is joined, and take that log in from FILE, which exhibit log export or custody release --handover wrote. Compare\n" +
			"the fingerprints of both logs by another channel, each side that of the other, and trust them with exhibit trust add.",
		example: "  exhibit case join case-2026-001 --from release.log --agency \"Example Laboratory\" \\\n" +
			"      --key examiner --station lab2 --log-key lab2-log",
		args: cobra.ExactArgs(1), codes: []int{codeMismatch, codeMissing, codeInterrupted},
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&o.from, "from", "", "the log that is joined, as it was handed over: `FILE` (required)")
			o.register(f)
		},
		run: func(cmd *cobra.Command, args []string) error { return runCaseJoin(cmd.Context(), u, args[0], &o) },
	})
}

func runCaseJoin(ctx context.Context, u *ui, dir string, o *joinOptions) error {
	if err := o.required("from", o.from); err != nil {
		return err
	}
	f, release, err := openForeign(ctx, o.from)
	if err != nil {
		return err
	}
	defer release()
	o.number, o.joins = f.Genesis.Case, f.Joining()
	c, signer, logKey, err := createCase(dir, &o.caseCreateOptions)
	if err != nil {
		return err
	}
	defer c.Close() //nolint:errcheck // everything written is synced already
	_, err = takeLog(ctx, c, f)
	if err == nil {
		_, err = c.Anchor(ctx, f.Genesis.Origin, signer, logKey, now)
	}
	if err != nil {
		return withHints(err, fmt.Sprintf("the case folder is there, and lacks that log: exhibit log import FILE --case %q", dir))
	}
	return showCase(u, c, "Joined")
}
