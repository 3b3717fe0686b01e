package verify

import (
	"fmt"
	"slices"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// continued follows the logs of a case from the newest to the one that it was opened with, and returns the origins of
// all that belong to it.
func (c *checker) continued(newest *record.CaseOpened, logs []*logCheck) map[string]bool {
	known := map[string]bool{newest.Origin: true}
	for next := newest; next.Continues != nil; {
		k := next.Continues
		name := within(layout.LogDir(next.Origin), layout.StatementFile(0))
		if known[k.Origin] {
			c.lines[4].add(mismatch(name, "continues.origin", "", k.Origin, "the logs of the case continue each other in a circle"))
			return known
		}
		known[k.Origin] = true
		i := slices.IndexFunc(logs, func(l *logCheck) bool { return l.origin == k.Origin })
		if i < 0 || logs[i].gen == nil {
			c.lines[4].add(Finding{Severity: Missing, File: layout.LogDir(k.Origin), Text: "the log that log " + next.Origin + " continues is missing or cannot be read", Advice: adviceMissing})
			return known
		}
		c.continuation(name, next, logs[i])
		next = logs[i].gen.opened
	}
	return known
}

// continuation holds what a genesis says of the log that it continues against that log, and says what may be lost.
func (c *checker) continuation(name string, next *record.CaseOpened, old *logCheck) {
	k := next.Continues
	if o := old.gen.opened; o.Case != next.Case || o.Agency != next.Agency {
		c.lines[4].add(mismatch(name, "case", o.Case, next.Case, "it continues the log of another case"))
	}
	file := old.path(layout.CheckpointFile(k.Size))
	b, err := c.fsys.readFile(file, layout.MaxCheckpoint)
	if err != nil {
		c.lines[4].add(fromError(file, err))
		return
	}
	if d := record.SHA256Of(b); d != k.Checkpoint {
		f := mismatch(file, "", k.Checkpoint.String(), d.String(), "the log was continued from another checkpoint of this size: there were two logs")
		f.Advice = adviceLog
		c.lines[4].add(f)
		return
	}
	if closedThere(k, old) { // nothing may follow, so nothing can be lost
		c.note(Finding{File: old.dir, Text: fmt.Sprintf("the log was closed by entry %d, and the case goes on in log %s", old.closed.index, next.Origin)})
		return
	}
	c.lines[4].add(Finding{Severity: Missing, File: old.dir, Text: fmt.Sprintf("the log was given up at size %d and continued in log %s: %s", k.Size, next.Origin, lostWords(k, old)),
		Advice: "ask who gave it up and why; look for a copy of the folder that has more"})
}

// closedThere reports whether the old log was closed by the last entry that the new one knows of it, with that counter.
func closedThere(k *record.Continuation, old *logCheck) bool {
	if old.closed == nil || old.closed.index != k.Size-1 {
		return false
	}
	live, known := k.Counter.Get()
	return known == (old.counter != nil) && live == old.closed.said.Counter
}

// lostWords says how many checkpoints may be lost between a log and the one that continues it.
func lostWords(k *record.Continuation, old *logCheck) string {
	live, known := k.Counter.Get()
	switch {
	case !known:
		return fmt.Sprintf("how many checkpoints were signed after it is not known (%q)", k.Counter.Reason())
	case old.counter == nil || old.size != k.Size:
		return "how many checkpoints were signed after it cannot be told from what is here"
	case live > old.counter.value:
		return fmt.Sprintf("%s signed after it may be lost", number(live-old.counter.value, "checkpoint"))
	case live < old.counter.value:
		return "the TPM had been put back to an earlier state, so how many checkpoints were signed after it is not known"
	}
	return "its counter shows none that was signed after it"
}
