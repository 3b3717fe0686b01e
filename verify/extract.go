package verify

import (
	"errors"
	"fmt"

	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/state"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// checkExtract checks one exhibit's entries of a log, which were handed over as a file (docs/format.md, 17.4). No image is looked at.
func (c *checker) checkExtract() error {
	b, err := c.fsys.readFile(c.file, layout.MaxExtract)
	if err != nil {
		c.lines[3].add(fromError(c.file, err))
		return nil
	}
	x, g, err := c.openExtract(b)
	if err != nil {
		c.lines[3].add(fromError(c.file, err))
		return nil
	}
	c.extract = x
	c.revokedExtract(c.file, x, g)
	c.takeExtract(x, g)
	return nil
}

// openExtract opens an extract that holds together, and its genesis.
func (c *checker) openExtract(b []byte) (*ledger.Extract, *genesis, error) {
	x, err := ledger.OpenExtractFile(b)
	if err != nil {
		if !errors.Is(err, record.ErrNewer) {
			err = content(err)
		}
		return nil, nil, err
	}
	g, err := readGenesis(x.Opening, c.policy.Trust)
	if err != nil {
		return nil, nil, err
	}
	g.keys = x.Keys
	return x, g, nil
}

// revokedExtract takes what revoked keys signed for unknown: no anchor lies in an extract that could show it to be older.
func (c *checker) revokedExtract(file string, x *ledger.Extract, g *genesis) {
	revoked := revocations(c.policy.Trust)
	for _, e := range x.List {
		if _, ok := revoked[e.KeyID]; ok {
			c.lines[2].add(revokedFinding(file, e.KeyID, e.Index))
		}
	}
	for _, id := range g.vouchers() {
		if _, ok := revoked[id]; ok {
			c.lines[2].add(revokedFinding(file, id, 0))
		}
	}
	if _, ok := revoked[x.LastBy]; ok && x.Last != x.Size-1 {
		c.lines[2].add(revokedFinding(file, x.LastBy, x.Size-1))
	}
	for _, k := range g.keys.LogKeys(x.Size) {
		if _, ok := revoked[logKeyID(k)]; ok {
			c.lines[3].add(revokedFinding(file, logKeyID(k), x.Size-1))
		}
	}
}

// takeExtract adds what an extract that holds together says.
func (c *checker) takeExtract(x *ledger.Extract, g *genesis) {
	if g.trusted {
		c.lines[2].checked++
	} else {
		c.lines[2].add(untrusted(c.file, g.leaf.String()))
	}
	c.report.Cases = append(c.report.Cases, g.facts(x.Size, 1))
	c.checkpoints, c.entries = 1, x.Size
	book := state.Book{Person: x.Keys.Person}
	for _, e := range x.List {
		c.keys[e.KeyID] = true
		c.lines[2].checked++
		c.lines[3].checked++
		book.Add(state.LoggedEvent{Index: e.Index, Leaf: e.Leaf, KeyID: e.KeyID, Event: e.Event, Openings: e.Openings})
	}
	var own line
	r := book.Report(x.Exhibit)
	for _, s := range r.Gaps {
		own.add(Finding{Severity: Missing, File: c.file, Text: s, Advice: "ask who kept the exhibit"})
	}
	for _, s := range r.Contradictions {
		own.add(Finding{Severity: Mismatch, File: c.file, Text: s, Advice: adviceLog})
	}
	for _, s := range r.Notes {
		own.add(Finding{File: c.file, Text: s})
	}
	own.checked = r.Events
	c.events, c.handovers = r.Events, r.Handovers
	c.report.Exhibits = append(c.report.Exhibits, exhibitFacts(r, own.status()))
	c.lines[6].merge(&own)
	c.note(Finding{File: c.file, Text: fmt.Sprintf("the extract states that event %d, at entry %d, is the exhibit's last of %s. Nothing in it shows that: events after it can have been left out. The whole log shows it", x.Count, x.Last, entries(x.Size))})
	for i := range c.policy.Require {
		c.lines[4].add(Finding{Severity: Missing, File: c.file, Text: fmt.Sprintf("%q is required, and an extract does not carry it", c.policy.Require[i]), Advice: "ask for the whole log, and verify it"})
	}
}
