package verify

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/state"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// severalLogs is what is kept of a log so that it can be held against the others of the case.
type severalLogs struct {
	roots  []tlog.Hash // of the first n+1 entries
	steps  []state.Step
	events []state.LoggedEvent // of the same statement; without an Event it is an anchor
}

// sighting is an entry by which a log took in the checkpoint of another.
type sighting struct {
	index int64
	*record.Anchored
}

// keep takes the next statement in.
func (s *severalLogs) keep(i int64, e loadedEntry, leaf record.LeafHash, event state.LoggedEvent) {
	var p record.Predicate = e.anchored
	switch {
	case e.event != nil:
		p = e.event
	case e.ending != nil:
		p = e.ending
	}
	s.steps, s.events = append(s.steps, state.StepOf(i, leaf, p)), append(s.events, event)
}

// joined adds to known the logs that were opened beside one of them, or continue one, and those beside which one of them was
// opened, or which one continues, by origin. What a genesis says of the log it names must be so.
func (c *checker) joined(known map[string]bool, logs []*logCheck) {
	own := maps.Clone(known)
	for more := true; more; {
		more = false
		for _, l := range logs {
			for _, origin := range named(l) {
				i := slices.IndexFunc(logs, func(o *logCheck) bool { return o.origin == origin })
				if known[l.origin] == known[origin] || i < 0 {
					continue
				}
				known[l.origin], known[origin], more = true, true, true
			}
		}
	}
	c.successors(logs)
	for _, l := range logs {
		if l.gen == nil || !known[l.origin] {
			continue
		}
		if l.gen.opened.Joins != nil {
			c.checkJoining(l.path(layout.StatementFile(0)), l.gen, logs)
		}
		if k := l.gen.opened.Continues; k != nil && !own[l.origin] {
			c.checkContinued(l.path(layout.StatementFile(0)), l.gen, logs)
		}
	}
}

// successors takes the logs that continue one of this writer's for his, too: case.json is signed by nobody, and one that names an older
// log must not make the images of the newer ones somebody else's, which may be absent.
func (c *checker) successors(logs []*logCheck) {
	for more := true; more; {
		more = false
		for _, l := range logs {
			if l.gen != nil && l.gen.opened.Continues != nil && !c.logsOf[l.origin] && c.logsOf[l.gen.opened.Continues.Origin] {
				c.logsOf[l.origin], more = true, true
			}
		}
	}
}

// takenIn requires that this writer's logs took in all that is here of the logs of others, as whoever imports one does. Else case.json,
// which is signed by nobody, may be that of another log, whose writer keeps other images. A log that was closed takes nothing in.
func (c *checker) takenIn(logs []*logCheck, home string) {
	own := func(l *logCheck) bool { return l.origin == home || c.logsOf[l.origin] }
	seen := map[string]int64{}
	for _, l := range logs {
		if l.gen == nil || !own(l) {
			continue
		}
		if l.closed != nil && l.origin == home {
			return
		}
		if j := l.gen.opened.Joins; j != nil {
			seen[j.Origin] = max(seen[j.Origin], j.Size)
		}
		for _, s := range l.seen {
			if s.Extract == nil {
				seen[s.Origin] = max(seen[s.Origin], s.Size)
			}
		}
	}
	for _, l := range logs {
		if l.gen != nil && !own(l) && l.size > seen[l.origin] {
			c.lines[4].add(Finding{Severity: Missing, File: l.path(layout.Checkpoint),
				Text:   fmt.Sprintf("this log of others has %s, and the case's own log took in %d of them: it was not taken in to the end, or %s is not that of this folder", entries(l.size), seen[l.origin], layout.CaseFile),
				Advice: "take it in once more with: exhibit log import; else compare the fingerprint of " + layout.CaseFile + " with that of whoever keeps this folder"})
		}
	}
}

// named are the origins of the logs that a log's genesis names.
func named(l *logCheck) (origins []string) {
	if l.gen == nil {
		return nil
	}
	if j := l.gen.opened.Joins; j != nil {
		origins = append(origins, j.Origin)
	}
	if k := l.gen.opened.Continues; k != nil {
		origins = append(origins, k.Origin)
	}
	return origins
}

// checkContinued holds what the genesis of another writer's log, in the file of that name, says of the one that it continues against
// that log.
func (c *checker) checkContinued(name string, g *genesis, logs []*logCheck) {
	k := g.opened.Continues
	i := slices.IndexFunc(logs, func(o *logCheck) bool { return o.origin == k.Origin })
	if i < 0 || logs[i].gen == nil {
		c.lines[4].add(Finding{Severity: Missing, File: layout.LogDir(k.Origin), Text: "the log that log " + g.opened.Origin + " continues is missing or cannot be read", Advice: adviceMissing})
		return
	}
	c.continuation(name, g.opened, logs[i])
}

// checkJoining holds what a genesis, in the file of that name, says of the log that it joins against that log.
func (c *checker) checkJoining(name string, g *genesis, logs []*logCheck) {
	j, origin := g.opened.Joins, g.opened.Origin
	i := slices.IndexFunc(logs, func(o *logCheck) bool { return o.origin == j.Origin })
	if i < 0 || logs[i].gen == nil {
		c.lines[4].add(Finding{Severity: Missing, File: layout.LogDir(j.Origin), Text: "the log beside which log " + origin + " was opened is missing or cannot be read", Advice: adviceMissing})
		return
	}
	other := logs[i]
	if other.gen.leaf != j.Genesis || other.gen.opened.Case != g.opened.Case {
		c.lines[4].add(mismatch(name, "joins.genesis", j.Genesis.String(), other.gen.leaf.String(), "it was opened beside a log of this name with another genesis, or of another case"))
		return
	}
	file := other.path(layout.CheckpointFile(j.Size))
	b, err := c.fsys.readFile(file, layout.MaxCheckpoint)
	if err != nil {
		c.lines[4].add(fromError(file, err))
	} else if d := record.SHA256Digest(sha256.Sum256(b)); d != j.Checkpoint {
		f := mismatch(file, "", j.Checkpoint.String(), d.String(), fmt.Sprintf("log %s was opened beside another checkpoint of this size: there were two logs", origin))
		f.Advice = adviceLog
		c.lines[4].add(f)
	}
}

// sightings holds every checkpoint that a log took in against the log that it is of. home is the origin of the folder's own.
func (c *checker) sightings(logs []*logCheck, kept []keptExtract, home string) {
	for _, m := range logs {
		for _, s := range m.seen {
			c.extractThere(m, s, kept, home)
			i := slices.IndexFunc(logs, func(l *logCheck) bool { return l.origin == s.Origin })
			if s.Extract != nil && (i < 0 || logs[i].gen != nil && s.Size > logs[i].size && s.Origin != home) && c.seenInExtract(m.path(layout.StatementFile(s.index)), s, kept) {
				continue
			}
			if i < 0 {
				c.lines[4].add(Finding{Severity: Missing, File: layout.LogDir(s.Origin), Text: fmt.Sprintf("the log is not here, of which entry %d of log %s took in a checkpoint", s.index, m.origin), Advice: adviceMissing})
				continue
			}
			if logs[i].gen != nil {
				c.sighting(m, s, logs[i], home)
			}
		}
	}
}

func (c *checker) sighting(m *logCheck, s sighting, l *logCheck, home string) {
	name := m.path(layout.StatementFile(s.index))
	if s.Genesis != l.gen.leaf {
		c.lines[4].add(mismatch(name, "genesis", l.gen.leaf.String(), s.Genesis.String(), fmt.Sprintf("entry %d took in a log of this name with another genesis", s.index)))
		return
	}
	cp, err := l.gen.keys.OpenCheckpoint([]byte(s.Checkpoint))
	if err != nil {
		c.lines[4].add(fromError(name, content(err)))
		return
	}
	switch {
	case cp.Size > l.size && l.size > 0 && (l.origin == home || m.origin == home):
		f := mismatch(l.path(layout.Checkpoint), "size", fmt.Sprintf("at least %d", cp.Size), fmt.Sprint(l.size),
			fmt.Sprintf("entry %d of log %s saw a larger log than this one: it was cut back, or is an old copy", s.index, m.origin))
		f.Advice = adviceLog
		c.lines[4].add(f)
	case cp.Size > l.size:
		c.lines[4].add(Finding{Severity: Missing, File: l.path(layout.Checkpoint), Text: fmt.Sprintf("entry %d of log %s saw %s of this log, and %d are here: this is an older copy of it", s.index, m.origin, entries(cp.Size), l.size),
			Advice: "ask whoever keeps that log for a newer copy, and take it in with: exhibit log import"})
	case l.several == nil: // no log has joined the case, so none was kept to be held against another
		c.lines[4].add(Finding{Severity: Missing, File: name, Text: fmt.Sprintf("entry %d took in a log that was not opened beside this one; it was not compared", s.index), Advice: adviceMissing})
	case cp.Size > int64(len(l.several.roots)):
		// Why not every entry could be looked at is said.
	case l.several.roots[cp.Size-1] != cp.Root:
		f := mismatch(l.path(layout.CheckpointFile(cp.Size)), "root", cp.Root.String(), l.several.roots[cp.Size-1].String(),
			fmt.Sprintf("entry %d of log %s saw another log of size %d under this name, signed by the same keys: there are two histories of it, or a statement is damaged", s.index, m.origin, cp.Size))
		f.Advice = adviceLog
		c.lines[4].add(f)
	default:
		c.lines[4].checked++
		l.seenTo = max(l.seenTo, cp.Size)
	}
}

// forks looks at what was kept as another history of a log.
func (c *checker) forks(logs []*logCheck, extracts []keptExtract) {
	origins, err := c.fsys.readDir(layout.ForksDir, layout.MaxFolder)
	if isMissing(err) {
		return
	}
	if err != nil {
		c.lines[4].add(fromError(layout.ForksDir, err))
	}
	for _, o := range origins {
		dir := within(layout.ForksDir, o.Name())
		kept, err := c.fsys.readDir(dir, layout.MaxFolder)
		if err != nil {
			c.lines[4].add(fromError(dir, err))
		}
		for _, k := range kept {
			switch name := within(dir, k.Name()); {
			case !k.Type().IsRegular():
				c.fork(name, o.Name(), logs)
			case layout.IsExtractFile(name):
				c.forkExtract(name, logs, extracts)
			default:
				c.uncovered(name)
			}
		}
	}
}

func (c *checker) fork(dir, origin string, logs []*logCheck) {
	i := slices.IndexFunc(logs, func(l *logCheck) bool { return l.origin == origin && l.gen != nil })
	if i < 0 {
		c.lines[4].add(Finding{Severity: Missing, File: dir, Text: "what lies here was kept as another history of a log that is not here", Advice: adviceMissing})
		return
	}
	l := logs[i]
	open := func(dir string) (*ledger.Log, error) {
		sub, err := fs.Sub(c.fsys, dir)
		if err != nil {
			return nil, err
		}
		return ledger.Open(sub, origin, l.gen.opened.LogKeys)
	}
	held, err := open(l.dir)
	if err != nil {
		return // what is wrong with it is said
	}
	other, err := open(dir)
	if err == nil {
		err = ledger.Compare(held, other)
	}
	switch {
	case err == nil:
		c.note(Finding{File: dir, Text: "what was kept as another history of log " + origin + " is the same history"})
	case isMissing(err):
		c.lines[4].add(fromError(dir, err))
	default:
		f := mismatch(dir, "", "", "", err.Error())
		f.Advice = adviceLog
		c.lines[4].add(f)
	}
}

// mergedBook follows the events of all logs of the case in one order.
func (c *checker) mergedBook(logs []*logCheck, kept []keptExtract, home string) (book state.Book, unreadable int64) {
	own := slices.IndexFunc(logs, func(l *logCheck) bool { return l.origin == home })
	if own > 0 {
		logs = slices.Concat(logs[own:own+1], logs[:own], logs[own+1:])
	}
	sequences := make([]state.Sequence, len(logs))
	for i, l := range logs {
		unreadable += l.unreadable
		sequences[i] = state.Sequence{Origin: l.origin, Steps: l.several.steps}
		if l.gen == nil {
			unreadable++
			continue
		}
		sequences[i] = state.SequenceOf(l.gen.opened)
		sequences[i].Steps = l.several.steps
	}
	var keys []*ledger.Keys
	for _, l := range logs {
		if l.gen != nil {
			keys = append(keys, ledger.NewestKeys(l.gen.keys, l.origin, l.size, extractsOf(kept)))
		}
	}
	for _, k := range kept {
		if logOf(logs, k.Origin) == nil {
			keys = append(keys, ledger.NewestKeys(k.Keys, k.Origin, k.Size, extractsOf(kept)))
		}
	}
	book.Person = ledger.Persons(keys)
	extra := c.addExtracts(kept, &sequences)
	order, circular := state.Order(sequences)
	if circular {
		c.lines[4].add(mismatch(layout.LogsDir, "", "", "", "each of the logs says that it saw what came later in another: that cannot be true of what their writers saw"))
	}
	for _, p := range order {
		if e, only := extra[p]; only {
			book.Add(e)
			continue
		}
		e := logs[p.Log].several.events[p.Step]
		if e.Event == nil {
			continue
		}
		if logs[p.Log].origin != home {
			e.Log = logs[p.Log].origin
		}
		book.Add(e)
	}
	partly(&book, kept, logs)
	for _, l := range logs {
		switch {
		case l.closed != nil && l.origin == home:
			book.Close("")
		case l.closed != nil:
			book.Close(l.origin)
		}
	}
	return book, unreadable
}
