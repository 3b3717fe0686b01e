package verify

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/exhibit-forensics/exhibit/custody/attest"
	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// Progress is told how far the work is. Its methods are called from one goroutine at a time.
type Progress interface {
	// Phase begins "log", of an unknown number of bytes (-1), or "image <acquisition id>", of so many bytes.
	Phase(name string, totalBytes int64)
	// Done says how many bytes of the phase are done; of a log it is never called.
	Done(bytes int64)
}

// Policy says what is trusted, and how the work is done. The zero Policy trusts nothing.
type Policy struct {
	// Trust are the entries of the trust file; nothing in what is verified can take their place.
	Trust []TrustEntry
	// Require are further things without which the outcome is unknown: RequireWitness, RequireTimeStamp, RequireHardware.
	Require []string
	// FolderName is the name of the folder that fsys is rooted at, when it is known. One that ends in ".partial" is an
	// acquisition that is not finished.
	FolderName string
	// Workers is the number of goroutines that hash, or check log entries. 0: one for each core.
	Workers  int
	Progress Progress // nil: none
}

// Verify checks what lies in fsys: a case folder, an acquisition folder, or statements that were exported as Sigstore
// bundles. name is "" for the folder that fsys is rooted at, or a folder or file in it; of a file, the folder it lies in is
// checked, but of a bundle that bundle alone. What was found is in Report.Kind.
//
// Whatever is wrong with the evidence is in the Report, also that there is no evidence at all. An error says that the
// check itself could not be done, as when ctx ends or name does not exist; the Report is zero then.
func Verify(ctx context.Context, fsys fs.FS, name string, p Policy) (Report, error) {
	if fsys == nil {
		return Report{}, errors.New("verify: no file system")
	}
	if p.Workers < 0 || p.Workers > maxWorkers {
		return Report{}, fmt.Errorf("verify: %d workers: there can be 1 to %d", p.Workers, maxWorkers)
	}
	for _, what := range p.Require {
		if !slices.Contains(Requirements, what) {
			return Report{}, fmt.Errorf("verify: %q is nothing that can be required: %q", what, Requirements)
		}
	}
	c := &checker{ctx: ctx, fsys: newPlainFS(fsys), policy: p, keys: map[string]bool{}, logKeys: map[string]bool{}, attachments: map[string]bool{}, assurances: map[string]string{},
		attestationKeys: map[string]attest.Key{}, dir: "."}
	err := c.run(name)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return Report{}, fmt.Errorf("verify: %w", err)
	}
	return c.finish(), nil
}

const maxWorkers = 1024

// checker is one run of Verify.
type checker struct {
	ctx    context.Context // of this run only
	fsys   *plainFS
	policy Policy
	dir    string // what is checked, below fsys
	file   string // the file that was named, below dir; or empty

	report     Report
	lines      [lineCount + 1]line // by number; 0 is unused
	keys       map[string]bool     // that signed
	logKeys    map[string]bool
	assurances map[string]string // by key id; of a key that is not here nothing shows more than software
	times      []record.Time     // of the acquisitions

	logsOf          map[string]bool       // origins of the logs that this folder's own station or agency wrote
	attachments     map[string]bool       // files that an event names
	attestationKeys map[string]attest.Key // by the id of a key that the same TPM holds

	alone       *folder         // of an acquisition folder by itself
	bundles     *bundles        // of statements that were exported
	extract     *ledger.Extract // one exhibit's entries
	checkpoints int64
	certified   int64 // of them, by a counter
	counters    int64
	entries     int64
	events      int64
	handovers   int64 // that were accepted
	quoted      int64 // records, for which a TPM said how the station was started
	explained   int64 // of them, by the event log of the firmware
	bytes       int64 // of all media that are here
	erased      int64 // images of which something is absent by order
	absent      int64 // images that others' logs name and that are not here
	taken       int64 // of them, not read from the medium

	progress sync.Mutex
}

func (c *checker) run(name string) error {
	if err := c.locate(name); err != nil {
		return err
	}
	c.report.Kind, c.report.Name = c.detect(), c.file
	switch c.report.Kind {
	case KindCase:
		return c.checkCase(c.ctx)
	case KindAcquisition, KindImage:
		return c.checkAcquisition()
	case KindBundle:
		return c.checkBundles()
	case KindExtract:
		return c.checkExtract()
	case KindPartial:
		c.lines[1].add(Finding{Severity: Missing, File: c.file, Text: "the acquisition is not finished: no evidence of anything", Advice: adviceFinish(c.fsys.exists(layout.Journal), c.policy.FolderName)})
	default:
		if c.lines[1].worst == Note {
			c.lines[1].add(Finding{Severity: Missing, File: c.file, Text: "this is neither a case folder, nor an acquisition folder, nor an image in one",
				Advice: "name the folder that holds case.json, or the one that holds statement.dsse.json"})
		}
	}
	return nil
}

// locate finds the folder to check, and makes it the root.
func (c *checker) locate(name string) error {
	if name == "" || name == "." {
		return nil
	}
	info, err := c.fsys.Stat(name)
	if errors.Is(err, errNotPlain) {
		c.file = name
		c.lines[1].add(fromError(name, err))
		return nil
	}
	if err != nil {
		return err
	}
	switch {
	case info.IsDir():
		c.policy.FolderName = path.Base(name)
		return c.enter(name)
	case info.Mode().IsRegular():
		c.file = path.Base(name)
		if dir := path.Dir(name); dir != "." {
			c.policy.FolderName = path.Base(dir)
			return c.enter(dir)
		}
	default:
		c.file = name
		c.lines[1].add(fromError(name, fmt.Errorf("%q is %s: %w", name, kindOf(info.Mode()), errNotPlain)))
	}
	return nil
}

func (c *checker) enter(dir string) error {
	sub, err := fs.Sub(c.fsys, dir)
	if err != nil {
		return err
	}
	c.fsys = newPlainFS(sub)
	return nil
}

// detect says what the folder is, by what lies in it.
func (c *checker) detect() Kind {
	switch {
	case strings.HasSuffix(c.file, layout.BundleSuffix), c.file == layout.TrustedRoot:
		return KindBundle
	case strings.HasSuffix(c.file, layout.ExtractSuffix):
		return KindExtract
	case c.fsys.exists(layout.CaseFile), c.fsys.exists(layout.LogsDir), c.fsys.exists(layout.ExhibitsDir):
		return KindCase // also when a sealed folder's files were put in the place of case.json and the logs
	case strings.HasSuffix(c.policy.FolderName, layout.PartialSuffix):
		return KindPartial
	case c.looksSealed("."):
		return KindAcquisition
	case c.fsys.exists(layout.Unsigned), c.fsys.exists(layout.Journal):
		return KindPartial
	case c.fsys.exists(layout.TrustedRoot):
		return KindBundle
	}
	return KindNothing
}

// looksSealed reports whether a folder holds any of what sealing puts there.
func (c *checker) looksSealed(dir string) bool {
	for _, name := range []string{layout.Statement, layout.Proof, layout.Genesis} {
		if c.fsys.exists(within(dir, name)) {
			return true
		}
	}
	return false
}

// checkAcquisition checks a folder, or the folder of an image, by what lies in it.
func (c *checker) checkAcquisition() error {
	f, err := c.checkAlone(c.ctx, ".")
	if err != nil {
		return err
	}
	if g := f.gen; g != nil {
		if g.trusted {
			f.signature.checked++
		} else {
			f.signature.add(untrusted(layout.Genesis, g.leaf.String()))
		}
		c.report.Cases = append(c.report.Cases, g.facts(f.size, 0))
		c.keys[g.by] = true
	}
	if c.file != "" {
		c.namedFile(f)
	}
	c.alone = f
	c.takeFolder(f)
	c.requireOfFolder(".")
	return nil
}

// namedFile requires that the file that was named is one the record covers.
func (c *checker) namedFile(f *folder) {
	if f.rec == nil {
		return
	}
	files := f.rec.image.Files
	i := slices.IndexFunc(files, func(g record.File) bool { return g.Name == c.file })
	switch {
	case i >= 0 && files[i].Role == record.RoleImage:
		c.report.Kind = KindImage
	case i >= 0, slices.Contains([]string{layout.Statement, layout.Personal, layout.Proof, layout.Genesis}, c.file):
	default:
		f.image.add(Finding{Severity: Missing, File: c.file, Text: "the record of this folder does not cover the file that was named",
			Advice: "name one of the image's files, or the folder"})
	}
}

func (g *genesis) facts(entries, checkpoints int64) CaseFacts {
	return CaseFacts{Number: g.opened.Case, Agency: g.opened.Agency, Origin: g.opened.Origin, Fingerprint: g.leaf.String(),
		Trusted: g.trusted, TrustName: g.trust.Name, Entries: entries, Checkpoints: checkpoints}
}

func untrusted(file, fingerprint string) Finding {
	return Finding{Severity: Missing, File: file, Field: "fingerprint", Found: fingerprint,
		Text: "nothing on this station says that this case is the one it claims to be. Its fingerprint is " + sign.Fingerprint(fingerprint),
		Advice: "ask the agency for the fingerprint by another channel (telephone, in person, the case file on paper), compare all of it, and then type: " +
			"exhibit trust add genesis " + fingerprint + " --name NAME"}
}

// uncovered notes something that no record covers. It changes no outcome.
func (c *checker) uncovered(name string) {
	if len(c.report.Notes) > maxFindings {
		return
	}
	text := "not covered by the record: nothing is known of it"
	if info, err := c.fsys.Stat(name); err == nil && !info.IsDir() && !info.Mode().IsRegular() {
		text = fmt.Sprintf("%s, not covered by the record and not opened", kindOf(info.Mode()))
	}
	c.note(Finding{File: name, Text: text})
}

// note takes up to maxFindings notes, and then says that there are more.
func (c *checker) note(f Finding) {
	if n := len(c.report.Notes); n < maxFindings {
		c.report.Notes = append(c.report.Notes, f)
	} else if n == maxFindings {
		c.report.Notes = append(c.report.Notes, Finding{Text: "and more that no record covers, not shown"})
	}
}

// folderName is the name of an acquisition's folder, when it is known.
func (c *checker) folderName(dir string) string {
	if dir == "." {
		return c.policy.FolderName
	}
	return path.Base(dir)
}

func (c *checker) workers() int {
	if c.policy.Workers > 0 {
		return c.policy.Workers
	}
	return min(runtime.NumCPU(), maxWorkers)
}

func (c *checker) phase(name string, total int64) {
	c.progress.Lock()
	defer c.progress.Unlock()
	if c.policy.Progress != nil {
		c.policy.Progress.Phase(name, total)
	}
}

func (c *checker) done(n int64) {
	c.progress.Lock()
	defer c.progress.Unlock()
	if c.policy.Progress != nil {
		c.policy.Progress.Done(n)
	}
}

// adviceFinish is a command that somebody will paste, so it quotes only a name that acquire gives. A copy has no journal.
func adviceFinish(journal bool, name string) string {
	name = path.Base(name)
	if !record.ValidAcquisitionID(strings.TrimSuffix(name, layout.PartialSuffix)) {
		name = "FOLDER"
	}
	if !journal {
		return "if it was to become a copy, remove it, and convert the image again; one that is logged already is finished with: exhibit image convert " + name
	}
	return "finish it with: exhibit acquire --resume " + name
}

func sortedKeys(m map[string]bool) []string { return slices.Sorted(maps.Keys(m)) }
