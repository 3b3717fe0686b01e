package verify

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/state"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// keptExtract is an extract of another log that the case took in, and that holds together.
type keptExtract struct {
	file string
	*ledger.Extract
	gen *genesis
}

// keptExtracts opens the extracts that the case took in, by origin and size (docs/format.md, 5.11).
func (c *checker) keptExtracts() []keptExtract {
	origins, err := c.fsys.readDir(layout.ExtractsDir, layout.MaxFolder)
	if isMissing(err) {
		return nil
	}
	if err != nil {
		c.lines[3].add(fromError(layout.ExtractsDir, err))
	}
	var kept []keptExtract
	var total int64
	for _, o := range origins {
		dir := within(layout.ExtractsDir, o.Name())
		if !o.IsDir() || !record.ValidOrigin(o.Name()) {
			c.strangeExtract(dir, o)
			continue
		}
		files, err := c.fsys.readDir(dir, layout.MaxFolder)
		if err != nil {
			c.lines[3].add(fromError(dir, err))
		}
		for _, f := range files {
			name := within(dir, f.Name())
			if !f.Type().IsRegular() || !layout.IsExtractFile(name) {
				c.strangeExtract(name, f)
				continue
			}
			if info, err := f.Info(); err == nil && info.Size() == 0 { // some file systems leave that of an import that was killed
				c.uncovered(name)
				continue
			}
			k, err := c.keptExtract(name)
			if err != nil {
				c.lines[3].add(fromError(name, err))
				continue
			}
			if total += k.Bytes; total > layout.MaxExtracts {
				c.lines[3].add(Finding{Severity: Missing, File: name, Text: fmt.Sprintf("the extracts of the case have more than %d bytes: this one, and those after it, were not checked", int64(layout.MaxExtracts))})
				return nil
			}
			kept = append(kept, k)
		}
	}
	slices.SortStableFunc(kept, func(a, b keptExtract) int {
		return cmp.Or(cmp.Compare(a.Origin, b.Origin), cmp.Compare(a.Size, b.Size))
	})
	return kept
}

// strangeExtract takes what lies among the extracts and is not called as one.
func (c *checker) strangeExtract(name string, e fs.DirEntry) {
	if e.Type().IsRegular() {
		c.uncovered(name)
		return
	}
	c.lines[3].add(Finding{Severity: Missing, File: name, Text: fmt.Sprintf("it is %s, and not called as anything that belongs here: nothing in it was checked", kindOf(e.Type()))})
}

// keptExtract opens one, which must be what its name says.
func (c *checker) keptExtract(name string) (keptExtract, error) {
	b, err := c.fsys.readFile(name, layout.MaxExtract)
	if err != nil {
		return keptExtract{}, err
	}
	x, g, err := c.openExtract(b)
	if err != nil {
		return keptExtract{}, err
	}
	want, err := layout.ExtractFile(x.Origin, x.Exhibit, x.Size, x.SHA256.Hex())
	if err != nil || want != name {
		return keptExtract{}, content(errors.New("it is not the extract that its name says"))
	}
	return keptExtract{name, x, g}, nil
}

// extracts checks those that were kept: each alone, against the log it is of, and against the others of that log. It returns those
// that count for the custody of exhibits.
func (c *checker) extracts(kept []keptExtract, logs []*logCheck, known map[string]bool) []keptExtract {
	var good []keptExtract
	belonging(kept, logs, known)
	for i, k := range kept {
		if !c.extractBelongs(k, logs, kept, known) {
			continue
		}
		c.revokedExtract(k.file, k.Extract, k.gen)
		if i > 0 && kept[i-1].Origin == k.Origin {
			c.follows(k.file, k.Follows(kept[i-1].Checkpoint), kept[i-1].Size)
		}
		l := logOf(logs, k.Origin)
		c.requireOfExtract(k, l)
		switch {
		case l == nil && k.gen.trusted:
			c.lines[2].checked++
		case l == nil:
			c.lines[2].add(untrusted(k.file, k.gen.leaf.String()))
		default:
			c.againstLog(k, l)
		}
		c.lines[3].checked += int64(len(k.List))
		for _, e := range k.List {
			c.keys[e.KeyID] = true
		}
		good = append(good, k)
	}
	return good
}

func logOf(logs []*logCheck, origin string) *logCheck {
	for _, l := range logs {
		if l.origin == origin && l.gen != nil && l.several != nil {
			return l
		}
	}
	return nil
}

// belonging adds to known the logs of which there are only extracts, and that belong to the case by what one genesis says of another.
func belonging(kept []keptExtract, logs []*logCheck, known map[string]bool) {
	leaves := map[string]record.LeafHash{}
	geneses := map[string]*record.CaseOpened{}
	for _, k := range kept {
		leaves[k.Origin], geneses[k.Origin] = k.gen.leaf, k.Genesis
	}
	for _, l := range logs {
		if l.gen != nil {
			leaves[l.origin], geneses[l.origin] = l.gen.leaf, l.gen.opened
		}
	}
	names := func(g *record.CaseOpened, origin string) bool {
		return g.Joins != nil && g.Joins.Origin == origin && g.Joins.Genesis == leaves[origin] || g.Continues != nil && g.Continues.Origin == origin
	}
	for more := true; more; {
		more = false
		for _, k := range kept {
			if known[k.Origin] {
				continue
			}
			for origin, g := range geneses {
				if known[origin] && (names(k.Genesis, origin) || names(g, k.Origin)) {
					known[k.Origin], more = true, true
				}
			}
		}
	}
}

// extractBelongs reports whether an extract is of a log of the case, which are those known, and holds what its genesis says of others
// against them.
func (c *checker) extractBelongs(k keptExtract, logs []*logCheck, kept []keptExtract, known map[string]bool) bool {
	if !known[k.Origin] {
		c.lines[2].add(Finding{Severity: Missing, File: k.file, Text: "an extract of another log lies here, and nothing says that the log belongs to the case of " + layout.CaseFile,
			Advice: "take it out, and verify it by itself"})
		return false
	}
	for _, o := range kept {
		if o.Origin == k.Origin && o.gen.leaf != k.gen.leaf {
			c.lines[4].add(mismatch(k.file, "genesis", o.gen.leaf.String(), k.gen.leaf.String(), fmt.Sprintf("it is of a log of the same name as %q, with another genesis", o.file)))
			return false
		}
	}
	if logOf(logs, k.Origin) != nil {
		return true // what its genesis says was looked at with the log
	}
	if j := k.Genesis.Joins; j != nil && (logOf(logs, j.Origin) != nil || !c.joinsExtract(k, kept)) {
		c.checkJoining(k.file, k.gen, logs)
	}
	if k.Genesis.Continues != nil {
		c.checkContinued(k.file, k.gen, logs)
	}
	return true
}

// joinsExtract reports whether the log beside which that of an extract was opened is known from extracts only.
func (c *checker) joinsExtract(k keptExtract, kept []keptExtract) bool {
	return slices.ContainsFunc(kept, func(o keptExtract) bool {
		return o.Origin == k.Genesis.Joins.Origin && o.gen.leaf == k.Genesis.Joins.Genesis && o.Genesis.Case == k.Genesis.Case
	})
}

// requireOfExtract says of an extract, which names an acquisition that no log here has, what it lacks of what was required.
func (c *checker) requireOfExtract(k keptExtract, l *logCheck) {
	if !slices.ContainsFunc(k.List, func(e ledger.ExtractEvent) bool {
		return recordOf(e.Event) != nil && (l == nil || e.Index >= l.size)
	}) {
		return
	}
	for i := range c.policy.Require {
		c.lines[4].add(Finding{Severity: Missing, File: k.file, Text: fmt.Sprintf("%q is required, and an extract does not carry it", c.policy.Require[i]), Advice: "ask for the whole log, and take it in"})
	}
}

// againstLog holds an extract against its log as it is here.
func (c *checker) againstLog(k keptExtract, l *logCheck) {
	if l.gen.leaf != k.gen.leaf {
		c.lines[4].add(mismatch(k.file, "genesis", l.gen.leaf.String(), k.gen.leaf.String(), "it is of a log of this name with another genesis"))
		return
	}
	roots := l.several.roots
	if len(roots) == 0 {
		return // why no entry could be looked at is said
	}
	if k.Size > int64(len(roots)) && c.logsOf[k.Origin] {
		f := mismatch(k.file, "size", fmt.Sprintf("at most %d", len(roots)), fmt.Sprint(k.Size), "it shows more of this case's own log than is here: the log was cut back, or is an old copy")
		f.Advice = adviceLog
		c.lines[4].add(f)
		return
	}
	if k.Size > int64(len(roots)) {
		size := int64(len(roots))
		c.follows(k.file, k.Follows(ledger.Checkpoint{Origin: k.Origin, Size: size, Root: roots[size-1]}), size)
		return
	}
	if roots[k.Size-1] != k.Checkpoint.Root {
		f := mismatch(k.file, "root", roots[k.Size-1].String(), k.Checkpoint.Root.String(), "it was signed under this name by the same keys, and the log here does not have it: there are two histories, or a statement is damaged")
		f.Advice = adviceLog
		c.lines[4].add(f)
	}
}

// follows takes the outcome of a proof that an extract goes on from size entries of its log.
func (c *checker) follows(file string, err error, size int64) {
	switch {
	case err == nil:
	case errors.Is(err, ledger.ErrNoConsistency):
		c.lines[4].add(Finding{Severity: Missing, File: file, Text: fmt.Sprintf("it does not show that its log goes on from the %s that are known here", entries(size)), Advice: adviceMissing})
	default:
		f := mismatch(file, "", "", "", err.Error())
		f.Advice = adviceLog
		c.lines[4].add(f)
	}
}

// extractThere requires that an extract is here which an entry of a log of this case's writer names.
func (c *checker) extractThere(m *logCheck, s sighting, kept []keptExtract, home string) {
	if s.Extract == nil || m.origin != home && !c.logsOf[m.origin] {
		return
	}
	name, err := layout.ExtractFile(s.Origin, s.Extract.Exhibit, s.Size, s.Extract.SHA256.Hex())
	if err == nil && !slices.ContainsFunc(kept, func(k keptExtract) bool { return k.file == name && k.SHA256 == s.Extract.SHA256 }) {
		c.lines[4].add(Finding{Severity: Missing, File: name, Text: fmt.Sprintf("the extract that entry %d of log %s took in is not here, or does not hold", s.index, m.origin), Advice: adviceMissing})
	}
}

// seenInExtract holds a checkpoint that a log took in against the extracts of its log, and reports whether one shows it.
func (c *checker) seenInExtract(name string, s sighting, kept []keptExtract) bool {
	for _, k := range kept {
		if k.Origin != s.Origin {
			continue
		}
		if k.gen.leaf != s.Genesis {
			c.lines[4].add(mismatch(name, "genesis", k.gen.leaf.String(), s.Genesis.String(), fmt.Sprintf("entry %d took in a log of this name with another genesis than that of %q", s.index, k.file)))
			return true
		}
		if s.Size > k.Size {
			continue
		}
		cp, err := k.Keys.OpenCheckpoint([]byte(s.Checkpoint))
		if err != nil {
			c.lines[4].add(fromError(name, content(err)))
			return true
		}
		if err := k.Follows(cp); !errors.Is(err, ledger.ErrNoConsistency) {
			c.follows(name, err, cp.Size)
			return true
		}
	}
	return false
}

// addExtracts adds the events that only extracts show to the logs, which are sequences by their places, and returns them by theirs.
func (c *checker) addExtracts(kept []keptExtract, sequences *[]state.Sequence) map[state.Place]state.LoggedEvent {
	out := map[state.Place]state.LoggedEvent{}
	for len(kept) > 0 {
		extracts := ledger.SameLog(extractsOf(kept))
		g := kept[0].Genesis
		i := slices.IndexFunc(*sequences, func(s state.Sequence) bool { return s.Origin == g.Origin })
		if i < 0 {
			i = len(*sequences)
			*sequences = append(*sequences, state.SequenceOf(g))
		}
		s := &(*sequences)[i]
		s.Steps = slices.Clip(s.Steps)
		for _, e := range ledger.EventsOf(extracts, s.Next()) {
			out[state.Place{Log: i, Step: len(s.Steps)}] = state.LoggedEvent{Index: e.Index, Leaf: e.Leaf, KeyID: e.KeyID, Event: e.Event, Openings: e.Openings, Log: g.Origin}
			s.Steps = append(s.Steps, state.StepOf(e.Index, e.Leaf, e.Event))
			c.absentImage(g.Origin, e)
		}
		kept = kept[len(extracts):]
	}
	return out
}

func extractsOf(kept []keptExtract) []*ledger.Extract {
	out := make([]*ledger.Extract, len(kept))
	for i, k := range kept {
		out[i] = k.Extract
	}
	return out
}

// absentImage notes an image that only an extract names: whoever made it keeps it.
func (c *checker) absentImage(origin string, e ledger.ExtractEvent) {
	r := recordOf(e.Event)
	if r == nil {
		return
	}
	dir, err := layout.ExhibitDir(r.event.Exhibit)
	if err != nil {
		return
	}
	c.absent++
	c.note(Finding{File: within(dir, r.image.ID), Text: fmt.Sprintf("the image of entry %d of log %s is not checked, for only an extract of that log is here: verify it where that log is kept", e.Index, origin)})
}

// partly tells the book of the logs of which extracts show more than is here.
func partly(book *state.Book, kept []keptExtract, logs []*logCheck) {
	for _, x := range ledger.Newest(extractsOf(kept)) {
		if l := logOf(logs, x.Origin); l == nil || x.Size > l.size {
			book.Partly(x.Exhibit, x.Origin, x.Size)
		}
	}
}

// forkExtract looks at an extract that was kept as one of another history of a log.
func (c *checker) forkExtract(name string, logs []*logCheck, kept []keptExtract) {
	b, err := c.fsys.readFile(name, layout.MaxExtract)
	var x *ledger.Extract
	if err == nil {
		x, _, err = c.openExtract(b)
	}
	if err == nil && layout.ForkExtract(x.Origin, x.SHA256.Hex()) != name {
		err = content(errors.New("it is not the extract that its name says"))
	}
	if err != nil {
		c.lines[4].add(fromError(name, err))
		return
	}
	var outcomes []error
	if l := logOf(logs, x.Origin); l != nil && len(l.several.roots) > 0 {
		size := min(x.Size, int64(len(l.several.roots)))
		outcomes = append(outcomes, x.Follows(ledger.Checkpoint{Origin: x.Origin, Size: size, Root: l.several.roots[size-1]}))
	}
	for _, k := range kept {
		if k.Origin == x.Origin && k.Size <= x.Size {
			outcomes = append(outcomes, x.Follows(k.Checkpoint))
		} else if k.Origin == x.Origin {
			outcomes = append(outcomes, k.Follows(x.Checkpoint))
		}
	}
	same := len(outcomes) > 0
	for _, err := range outcomes {
		if _, fork := errors.AsType[*ledger.ForkError](err); fork {
			c.follows(name, err, x.Size)
			return
		}
		same = same && err == nil
	}
	if same {
		c.note(Finding{File: name, Text: "what was kept as an extract of another history of log " + x.Origin + " is of the same history"})
		return
	}
	c.lines[4].add(Finding{Severity: Missing, File: name, Text: "what lies here was kept as an extract of another history of a log, and nothing here shows whether it is one", Advice: adviceMissing})
}
