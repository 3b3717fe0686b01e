package verify

import (
	"crypto/sha256"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

func TestContinuation(t *testing.T) {
	live := int64(counterFirst + 3) // checkpoints of the sizes 1, 2, 3
	for name, test := range map[string]struct {
		change func(old, next *forge, k *record.Continuation, files fileSet)
		code   int
		text   string
	}{
		"nothing lost": {func(_, _ *forge, _ *record.Continuation, _ fileSet) {}, ExitUnknown, "its counter shows none that was signed after it"},
		"two lost": {func(_, _ *forge, k *record.Continuation, _ fileSet) { k.Counter = record.Known(live + 2) }, ExitUnknown,
			"2 checkpoints signed after it may be lost"},
		"the TPM put back": {func(_, _ *forge, k *record.Continuation, _ fileSet) { k.Counter = record.Known(live - 1) }, ExitUnknown,
			"put back to an earlier state"},
		"a counter that is gone": {func(_, _ *forge, k *record.Continuation, _ fileSet) { k.Counter = record.Unknown[int64]("no TPM") }, ExitUnknown,
			"is not known (\"no TPM\")"},
		"an earlier checkpoint": {func(old, _ *forge, k *record.Continuation, _ fileSet) {
			k.Size, k.Checkpoint = 2, record.SHA256Digest(sha256.Sum256(old.checkpoints[2]))
		}, ExitUnknown, "cannot be told from what is here"},
		"another checkpoint of that size": {func(_, _ *forge, k *record.Continuation, _ fileSet) { k.Checkpoint = record.SHA256Digest([32]byte{1}) },
			ExitMismatch, "there were two logs"},
		"a checkpoint that is not here": {func(_, _ *forge, k *record.Continuation, _ fileSet) { k.Size = 9 }, ExitUnknown, "the file is missing"},
		"the log of another case": {func(_, next *forge, _ *record.Continuation, _ fileSet) { next.genesis.Case = "2026-002" }, ExitMismatch,
			"continues the log of another case"},
		"itself": {func(_, next *forge, k *record.Continuation, _ fileSet) { k.Origin = next.origin }, ExitMismatch, "in a circle"},
		"a log that is not here": {func(old, _ *forge, _ *record.Continuation, files fileSet) {
			maps.DeleteFunc(files, func(name string, _ []byte) bool { return strings.HasPrefix(name, layout.LogDir(old.origin)) })
		}, ExitUnknown, "is missing or cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			old, _ := tpmForge(t)
			next := newForge(t)
			files := old.build()
			k := &record.Continuation{Because: record.Personal{Commitment: record.SHA256Digest([32]byte{1})}, Origin: old.origin, Size: 3,
				Checkpoint: record.SHA256Digest(sha256.Sum256(old.checkpoints[3])), Counter: record.Known(live)}
			next.genesis.Continues = k
			test.change(old, next, k, files)
			next.again()
			next.seize("8")
			maps.Copy(files, next.build())
			p := old.policy()
			p.Trust = append(p.Trust, next.policy().Trust...)
			r := check(t, files.fs(""), "", p, test.code)
			if !slices.ContainsFunc(r.Lines[3].Findings, func(f Finding) bool { return strings.Contains(f.Text, test.text) }) {
				t.Errorf("line 4 does not say %q\n%s", test.text, show(r))
			}
		})
	}
}

// The events of a log and of the one that continues it are one chain: what was open stays open, and what was closed is.
func TestContinuedChain(t *testing.T) {
	old := newForge(t)
	old.seize("7")
	files := old.build()
	next := newForge(t)
	next.genesis.Continues = &record.Continuation{Because: record.Personal{Commitment: record.SHA256Digest([32]byte{1})}, Origin: old.origin, Size: 2,
		Checkpoint: record.SHA256Digest(sha256.Sum256(old.checkpoints[2])), Counter: record.Unknown[int64]("no TPM")}
	next.again()
	next.handle(next.person, "7", record.TypeRestricted, func(h *record.Handling, _ *record.Openings) {
		h.Restriction = &record.RestrictionAct{Kind: "privilege"}
	})
	maps.Copy(files, next.build())
	p := old.policy()
	p.Trust = append(p.Trust, next.policy().Trust...)
	r := check(t, files.fs(""), "", p, ExitUnknown)
	if len(r.Exhibits) != 1 || r.Exhibits[0].Events != 2 || r.Exhibits[0].Custody != Verified {
		t.Errorf("exhibits %+v\n%s", r.Exhibits, show(r))
	}
}

// After the entry that closed a log nothing can be lost. A log that is continued from before it is one that was cut back.
func TestContinuesAClosedLog(t *testing.T) {
	for name, test := range map[string]struct {
		size    int64
		counter record.Fact[int64]
		lost    bool
	}{
		"closed":               {2, record.Unknown[int64]("the log has no counter"), false},
		"before it was closed": {1, record.Unknown[int64]("the log has no counter"), true},
		"another counter":      {2, record.Known(int64(7)), true},
	} {
		old := newForge(t)
		old.close()
		next := newForge(t)
		next.genesis.Continues = &record.Continuation{Because: record.Personal{Commitment: record.SHA256Digest([32]byte{1})}, Origin: old.origin, Size: test.size,
			Checkpoint: record.SHA256Digest(sha256.Sum256(old.checkpoints[test.size])), Counter: test.counter}
		next.again()
		next.seize("8")
		files := old.build()
		maps.Copy(files, next.build())
		p := old.policy()
		p.Trust = append(p.Trust, next.policy().Trust...)
		r := check(t, files.fs(""), "", p, ExitUnknown) // there is no image
		noted := slices.ContainsFunc(r.Notes, func(f Finding) bool { return strings.Contains(f.Text, "the case goes on in log "+next.origin) })
		if lost := says(r, 4, "was given up at size"); lost != test.lost || noted == lost {
			t.Errorf("%s: given up %t, noted %t\n%s", name, lost, noted, show(r))
		}
	}
}

// case.json is signed by nobody: one that names the older log does not make the newer one's images those of somebody else.
func TestOlderCaseFile(t *testing.T) {
	old := newForge(t)
	old.close()
	next := newForge(t)
	next.genesis.Continues = &record.Continuation{Because: record.Personal{Commitment: record.SHA256Digest([32]byte{1})}, Origin: old.origin, Size: 2,
		Checkpoint: record.SHA256Digest(sha256.Sum256(old.checkpoints[2])), Counter: record.Unknown[int64]("the log has no counter")}
	next.again()
	next.seize("8")
	next.acquire("8", idA, []byte("the bytes"), 0)
	files := next.build()
	older := old.build()
	maps.Copy(files, older)
	maps.DeleteFunc(files, func(name string, _ []byte) bool { return strings.HasPrefix(name, layout.ExhibitsDir+"/8/") })
	p := old.policy()
	p.Trust = append(p.Trust, next.policy().Trust...)
	for name, caseFile := range map[string][]byte{"newer": next.build()[layout.CaseFile], "older": older[layout.CaseFile]} {
		files[layout.CaseFile] = caseFile
		r := check(t, files.fs(""), "", p, ExitUnknown)
		if r.Lines[0].Status != Unknown {
			t.Errorf("%s: line 1 is %s\n%s", name, r.Lines[0].Status, show(r))
		}
	}
}
