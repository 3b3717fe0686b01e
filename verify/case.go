package verify

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/custody/state"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// checkCase checks a whole case folder: every log, the folder of every acquisition, every chain.
func (c *checker) checkCase(ctx context.Context) error {
	logs, err := c.caseLogs()
	if err != nil {
		return err
	}
	home, known := c.caseFile(logs)
	c.certificates(logs)
	kept := c.keptExtracts()
	c.sightings(logs, kept, home)
	c.takenIn(logs, home)
	c.forks(logs, kept)
	kept = c.extracts(kept, logs, known)
	for _, l := range logs {
		l.checkQuotes()
		c.takeLog(l)
	}
	if err := c.books(logs, kept, home); err != nil {
		return err
	}
	named := map[string]bool{}
	for _, l := range logs {
		for _, ref := range l.images {
			if c.elsewhere(l, ref) {
				continue
			}
			f, err := c.checkFolder(ctx, l, ref)
			if err != nil {
				return err
			}
			named[f.dir] = true
			c.takeFolder(f)
		}
	}
	if err := c.exhibitFolders(ctx, named, logs); err != nil {
		return err
	}
	c.strangers()
	return nil
}

// books adds what the events of the logs say: of each log by itself, or of all in one order when others have joined the case, or one
// continues another.
// The error is that of the context.
func (c *checker) books(logs []*logCheck, kept []keptExtract, home string) error {
	for _, l := range logs {
		l.foreign = l.several != nil && l.origin != home && !c.logsOf[l.origin]
		if l.several != nil {
			continue
		}
		if err := c.takeBook(&l.book, l.unreadable, []*logCheck{l}, l.origin); err != nil {
			return err
		}
	}
	if len(logs) == 0 || logs[0].several == nil {
		return nil
	}
	book, unreadable := c.mergedBook(logs, kept, home)
	return c.takeBook(&book, unreadable, logs, home)
}

// elsewhere reports whether an image that another station's or agency's log names is not here, and need not be: whoever made
// it keeps it.
func (c *checker) elsewhere(l *logCheck, ref imageRef) bool {
	name, err := layout.ExhibitDir(ref.exhibit)
	if !l.foreign || err != nil || c.fsys.exists(within(name, ref.id)) {
		return false
	}
	c.absent++
	c.note(Finding{File: within(name, ref.id), Text: fmt.Sprintf("the image of entry %d of log %s is not in this folder: verify it where that log is kept", ref.index, l.origin)})
	return true
}

// strangers notes what else lies in the case folder: somebody may have put it there to be taken for a part of the case.
func (c *checker) strangers() {
	entries, err := c.fsys.readDir(".", layout.MaxFolder)
	if err != nil {
		return // what has to be in the folder was looked for by name
	}
	for _, e := range entries {
		switch e.Name() {
		case layout.CaseFile, layout.ExhibitsDir, layout.LogsDir, layout.KeysDir, layout.ForksDir, layout.ExtractsDir:
		default:
			c.uncovered(e.Name())
		}
	}
}

// caseLogs checks every log under logs/, the folders' names in order.
func (c *checker) caseLogs() ([]*logCheck, error) {
	var logs []*logCheck
	entries, err := c.fsys.readDir(layout.LogsDir, layout.MaxFolder)
	if err != nil {
		c.lines[3].add(fromError(layout.LogsDir, err))
		return nil, nil
	}
	several := c.hasJoined(entries) || c.fsys.exists(layout.ExtractsDir)
	for _, e := range entries {
		name := within(layout.LogsDir, e.Name())
		switch {
		case !e.IsDir() && !e.Type().IsRegular():
			c.lines[3].add(fromError(name, fmt.Errorf("%q is %s: %w", name, kindOf(e.Type()), errNotPlain)))
		case e.IsDir() && record.ValidOrigin(e.Name()):
			l, err := c.checkLog(e.Name(), several)
			if err != nil {
				return nil, err
			}
			logs = append(logs, l)
		case e.IsDir():
			c.lines[3].add(Finding{Severity: Missing, File: name, Text: "the folder is not called as a log is: nothing in it was checked"})
		default:
			c.uncovered(name)
		}
	}
	if len(logs) == 0 {
		c.lines[3].add(Finding{Severity: Missing, File: layout.LogsDir, Text: "the case has no log", Advice: adviceMissing})
	}
	return logs, nil
}

// hasJoined reports whether one of the logs was opened beside another, or continues one: then what they say is put together.
func (c *checker) hasJoined(entries []fs.DirEntry) bool {
	for _, e := range entries {
		if !record.ValidOrigin(e.Name()) {
			continue
		}
		b, err := c.fsys.readFile(within(layout.LogDir(e.Name()), layout.StatementFile(0)), layout.MaxEnvelope)
		if err != nil {
			continue // said when the log is checked
		}
		if g, err := readGenesis(b, nil); err == nil && (g.opened.Joins != nil || g.opened.Continues != nil) {
			return true
		}
	}
	return false
}

// caseFile requires case.json to be the payload of the genesis of the log it names, whose origin it returns, and the origins of the
// logs that belong to that one.
func (c *checker) caseFile(logs []*logCheck) (home string, belongs map[string]bool) {
	b, err := c.fsys.readFile(layout.CaseFile, record.MaxJSON)
	if err != nil {
		c.lines[2].add(fromError(layout.CaseFile, err))
		return "", nil
	}
	p, err := record.Decode(b)
	if err != nil {
		c.lines[2].add(fromError(layout.CaseFile, err))
		return "", nil
	}
	opened, ok := p.(*record.CaseOpened)
	if !ok {
		c.lines[2].add(mismatch(layout.CaseFile, "predicateType", string(record.TypeCaseOpened), string(p.Type()), "the file does not open a case"))
		return "", nil
	}
	belongs = c.continued(opened, logs)
	c.logsOf = maps.Clone(belongs)
	c.joined(belongs, logs)
	for _, l := range logs {
		if !belongs[l.origin] {
			c.lines[2].add(Finding{Severity: Missing, File: l.dir, Text: "a second log lies here, and nothing says that it belongs to the case of " + layout.CaseFile,
				Advice: "take the folders of another case out of this one and verify each by itself"})
		}
	}
	i := slices.IndexFunc(logs, func(l *logCheck) bool { return l.origin == opened.Origin })
	switch {
	case i < 0 && len(logs) > 0:
		c.lines[2].add(mismatch(layout.CaseFile, "origin", logs[0].origin, opened.Origin, "it differs from the genesis of every log here"))
	case i < 0:
		c.lines[3].add(Finding{Severity: Missing, File: layout.LogDir(opened.Origin), Text: "the case's own log is missing", Advice: adviceMissing})
	case logs[i].gen == nil:
		// Why its genesis cannot be read is said.
	case !bytes.Equal(b, logs[i].gen.payload):
		c.lines[2].add(mismatch(layout.CaseFile, "", "", "", "it differs from the genesis, entry 0 of the log "+opened.Origin))
	default:
		c.lines[2].checked++
	}
	return opened.Origin, belongs
}

// certificates looks at keys/: each admitted key has its certificate there, for use with other tools. That a key lies
// there is a reason to trust it for nobody.
func (c *checker) certificates(logs []*logCheck) {
	wanted := map[string]bool{}
	for _, l := range logs {
		if l.gen == nil {
			continue
		}
		for _, id := range l.gen.keys.All() {
			wanted[id] = true
		}
	}
	for _, id := range sortedKeys(wanted) {
		name := layout.KeyFile(id)
		b, err := c.fsys.readFile(name, layout.MaxCertificate)
		if err == nil {
			err = content(sign.CheckCertificate(b, id))
		}
		if err != nil {
			c.lines[2].add(fromError(name, err))
		}
	}
	used := c.attestations(logs)
	entries, err := c.fsys.readDir(layout.KeysDir, layout.MaxFolder)
	if err != nil && !isMissing(err) {
		c.lines[2].add(fromError(layout.KeysDir, err))
	}
	for _, e := range entries {
		name := within(layout.KeysDir, e.Name())
		if id, ok := strings.CutSuffix(e.Name(), ".pem"); (!ok || !wanted[id]) && !used[name] {
			c.uncovered(name)
		}
	}
}

// takeLog adds what a log gave to the report.
func (c *checker) takeLog(l *logCheck) {
	if l.gen != nil {
		if l.gen.trusted {
			l.signature.checked++
		} else {
			l.signature.add(untrusted(l.path(layout.StatementFile(0)), l.gen.leaf.String()))
		}
		facts := l.gen.facts(l.size, l.checkpoints)
		facts.Closed = l.closed.facts()
		facts.Witnessed, facts.Stamped, facts.Anchored = l.witnessedTo, l.stampedTo, l.seenTo
		if l.stampedTo > 0 {
			facts.StampedAt, facts.StampedBy = l.stampedBy.stamp.Time.Format(trustTime), l.stampedBy.stamp.Authority
		}
		c.report.Cases = append(c.report.Cases, facts)
	}
	c.lines[2].merge(&l.signature)
	c.lines[3].merge(&l.log)
	c.lines[4].merge(&l.append)
	c.lines[5].merge(&l.time)
	c.checkpoints += l.checkpoints
	if l.counter != nil {
		c.certified += l.counter.verified
		c.counters++
	}
	c.entries += l.size
	for id := range l.keys {
		c.keys[id] = true
	}
}

// takeBook adds what the events of the logs say of each exhibit; those of home are of no other log. unreadable is how many
// statements are not known. The error is that of the context.
func (c *checker) takeBook(book *state.Book, unreadable int64, logs []*logCheck, home string) error {
	for _, r := range book.Reports() {
		var own line
		name := path.Join(layout.ExhibitsDir, r.Exhibit)
		if dir, err := layout.ExhibitDir(r.Exhibit); err == nil {
			name = dir
		}
		for _, s := range r.Gaps {
			own.add(Finding{Severity: Missing, File: name, Text: s, Advice: "ask who kept the exhibit, and log what is found out as an event"})
		}
		for _, s := range r.Contradictions {
			f := Finding{Severity: Mismatch, File: name, Text: s, Advice: adviceLog}
			if unreadable > 0 { // then the log's statements are not all known, and a hole proves nothing
				f.Severity, f.Advice = Missing, adviceMissing
			}
			own.add(f)
		}
		for _, s := range r.Notes {
			own.add(Finding{Severity: Note, File: name, Text: s})
		}
		own.checked = r.Events
		var closed, unexplained int64
		for _, l := range logs {
			l.takeErased(&r, home)
			if u := l.undisclosed[r.Exhibit]; u != nil {
				own.add(u.finding(name))
				closed, unexplained = closed+u.fields, unexplained+int64(len(u.open))+u.more
			}
			if err := c.checkAttachments(l, r.Exhibit, name, &own); err != nil {
				return err
			}
		}
		c.events += r.Events
		c.handovers += r.Handovers
		facts := exhibitFacts(r, own.status())
		facts.Undisclosed, facts.Unexplained, facts.Erased = closed, unexplained, own.gone
		c.report.Exhibits = append(c.report.Exhibits, facts)
		c.lines[6].merge(&own)
	}
	return nil
}

func exhibitFacts(r state.Report, custody Status) ExhibitFacts {
	f := ExhibitFacts{Exhibit: r.Exhibit, Events: r.Events, Seals: r.Seals, Custody: custody, Holder: r.Holder.KeyID, Handovers: r.Handovers}
	switch {
	case r.Destroyed > 0:
		f.Ended = record.TypeDestroyed
	case r.Returned > 0:
		f.Ended = record.TypeReturned
	}
	for _, e := range r.Endorsements {
		f.Endorsements = append(f.Endorsements, EndorsementFacts{e.Number, e.Log, e.KeyID, e.Name, e.Leaf.String(), e.Of, e.OfLog})
	}
	return f
}

func (c *checker) takeFolder(f *folder) {
	c.lines[1].merge(&f.image)
	c.lines[2].merge(&f.signature)
	c.lines[3].merge(&f.log)
	facts := f.facts()
	if facts.KeyID != "" {
		facts.Assurance = c.assurance(facts.KeyID)
	}
	if f.in != nil {
		facts.Quote = f.in.quotes.status[f.index]
	}
	c.report.Acquisitions = append(c.report.Acquisitions, facts)
	if len(facts.Erased) == 0 {
		c.bytes += facts.SizeBytes
	} else {
		c.erased++
	}
	if f.rec != nil {
		for _, t := range f.rec.image.TakenOver {
			c.taken += t.Bytes
		}
		c.times = append(c.times, f.rec.event.Time)
	}
}

// exhibitFolders looks for folders that no event names. One is checked by what lies in it, so that the report says what
// it is worth, and it leaves the case unknown all the same.
func (c *checker) exhibitFolders(ctx context.Context, named map[string]bool, logs []*logCheck) error {
	exhibits, err := c.fsys.readDir(layout.ExhibitsDir, layout.MaxFolder)
	if err != nil && !isMissing(err) {
		c.lines[6].add(fromError(layout.ExhibitsDir, err))
	}
	for _, e := range exhibits {
		dir := within(layout.ExhibitsDir, e.Name())
		if !c.plainFolder(dir, e) {
			continue
		}
		if _, err := layout.Decode(e.Name()); err != nil {
			c.lines[6].add(Finding{Severity: Missing, File: dir, Text: "the folder is not called as an exhibit is: nothing in it was checked"})
			continue
		}
		acquisitions, err := c.fsys.readDir(dir, layout.MaxFolder)
		if err != nil {
			c.lines[6].add(fromError(dir, err))
		}
		for _, a := range acquisitions {
			if err := c.acquisitionFolder(ctx, within(dir, a.Name()), a, named, logs); err != nil {
				return err
			}
		}
	}
	return nil
}

// plainFolder reports whether e is a folder; a file is noted, and anything else is a finding.
func (c *checker) plainFolder(name string, e fs.DirEntry) bool {
	switch {
	case e.IsDir():
		return true
	case e.Type().IsRegular():
		c.uncovered(name)
	default:
		c.lines[6].add(fromError(name, fmt.Errorf("%q is %s: %w", name, kindOf(e.Type()), errNotPlain)))
	}
	return false
}

func (c *checker) acquisitionFolder(ctx context.Context, dir string, e fs.DirEntry, named map[string]bool, logs []*logCheck) error {
	if named[dir] || !c.plainFolder(dir, e) {
		return nil
	}
	if path.Base(dir) == layout.AttachmentsDir {
		c.strangeAttachments(dir)
		return nil
	}
	if strings.HasSuffix(dir, layout.PartialSuffix) {
		c.note(Finding{File: dir, Text: "an acquisition that is not finished: no evidence of anything", Advice: adviceFinish(c.fsys.exists(within(dir, layout.Journal)), dir)})
		return nil
	}
	c.lines[6].add(Finding{Severity: Missing, File: dir, Text: "no event in the logs of this case names this folder",
		Advice: "find out where it comes from; verify it by itself, or fetch the log from another copy of the case"})
	if !c.looksSealed(dir) {
		return nil
	}
	f, err := c.checkAlone(ctx, dir)
	if err != nil {
		return err
	}
	c.takeFolder(f)
	for _, l := range logs {
		c.cutBack(f, l)
	}
	return nil
}

// cutBack compares the proof in a folder that no event names with the log it was sealed under: the two come from the
// same keys, so one of them shows what became of the other.
func (c *checker) cutBack(f *folder, l *logCheck) {
	if f.checkpoint == nil || l.gen == nil || l.size == 0 || f.gen.leaf != l.gen.leaf {
		return
	}
	if leaf, ok := l.leafAt(f.index); f.size <= l.size && (!ok || leaf == f.leaf) {
		return // the log has it; its copy of the statement is missing or damaged, which is said
	}
	name := within(f.dir, layout.Proof)
	m := mismatch(name, "size", fmt.Sprintf("at most %d", l.size), fmt.Sprint(f.size),
		"this folder was sealed under a checkpoint that the log here no longer has: the log was cut back, or is an old copy")
	if f.size <= l.size {
		m = mismatch(name, "index", "", "", fmt.Sprintf("the log here has another statement as entry %d than the one it was sealed with: there were two logs", f.index))
	}
	m.Advice = adviceLog
	c.lines[4].add(m)
}
