package verify

import (
	"crypto/rand"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// withhold logs that these fields of the earlier events were left out.
func (f *forge) withhold(exhibit string, fields ...string) {
	f.handle(f.person, exhibit, record.TypeDisclosed, func(h *record.Handling, o *record.Openings) {
		none := record.Unknown[record.Personal]("not given")
		h.To = &record.Party{Agency: none, Identifier: none, Name: none, Role: none}
		h.Withheld = &record.Redaction{Fields: fields, Authoriser: must(o.Commit(rand.Reader, "/handling/withheld/authoriser", "J. Udge")),
			Ground: must(o.Commit(rand.Reader, "/handling/withheld/ground", "witness at risk"))}
	})
}

// without takes openings out of the file beside an entry, and the file when none are left.
func (m fileSet) without(f *forge, index int64, pointers ...string) {
	name := logFile(f, layout.PersonalFile(index))
	left := must(record.DecodeOpenings(m[name])).Without(pointers)
	delete(m, name)
	if len(left) > 0 {
		m[name] = must(left.Encode())
	}
}

// remark logs a note with two personal fields.
func remark(f *forge) {
	f.handle(f.person, "8", record.TypeNoted, func(h *record.Handling, o *record.Openings) {
		h.Remarks = record.Known(must(o.Commit(rand.Reader, "/handling/remarks", "seen by W. Itness")))
		h.Witness = record.Known(must(o.Commit(rand.Reader, "/handling/witness", "W. Itness")))
	})
}

// What is not disclosed is said, with the ground where the log has one; it is neither a failure nor passed over, and a value that was
// changed, or moved to another field, is still found.
func TestUndisclosed(t *testing.T) {
	tests := map[string]struct {
		log                func(*forge)
		change             func(*forge, fileSet)
		exit               int
		want               string
		closed, unexplains int64
	}{
		"all here": {remark, func(*forge, fileSet) {}, ExitVerified, "", 0, 0},
		"no ground": {remark, func(f *forge, m fileSet) { m.without(f, 5, "/handling/witness") }, ExitVerified,
			"not disclosed: 1 personal field of 1 event; only the commitment is here, so what was said there was not read: 1 of which nothing says why", 1, 1},
		"with a ground": {func(f *forge) { remark(f); f.withhold("8", "/handling/remarks", "/handling/witness") },
			func(f *forge, m fileSet) { m.without(f, 5, "/handling/remarks", "/handling/witness") }, ExitVerified,
			`2 left out, on the ground "witness at risk", by decision of "J. Udge": event 4 (log entry 6), signed by key `, 2, 0},
		"another field": {func(f *forge) { remark(f); f.withhold("8", "/handling/remarks") }, func(f *forge, m fileSet) { m.without(f, 5, "/handling/witness") },
			ExitVerified, "1 of which nothing says why", 1, 1},
		"another exhibit": {func(f *forge) { remark(f); f.withhold("7/a", "/handling/witness") }, func(f *forge, m fileSet) { m.without(f, 5, "/handling/witness") },
			ExitVerified, "1 of which nothing says why", 1, 1},
		"a later event": {func(f *forge) { f.withhold("8", "/handling/witness"); remark(f) }, func(f *forge, m fileSet) { m.without(f, 6, "/handling/witness") },
			ExitVerified, "1 of which nothing says why", 1, 1},
		"the ground itself": {func(f *forge) { remark(f); f.withhold("8", "/handling/witness") }, func(f *forge, m fileSet) {
			m.without(f, 5, "/handling/witness")
			m.without(f, 6, "/handling/withheld/ground", "/handling/withheld/authoriser")
		}, ExitVerified, "on the ground (not disclosed), by decision of (not disclosed)", 3, 2},
		"erased": {func(f *forge) {
			remark(f)
			leaf := f.previous["8"].leaf
			f.handle(f.person, "8", record.TypeDestroyed, func(h *record.Handling, o *record.Openings) {
				h.Authority.Number = record.Known(must(o.Commit(rand.Reader, "/handling/authority/number", "order 12/2026")))
				h.Method = record.Unknown[record.Personal]("not given")
				h.Erasure = &record.Erasure{Copies: h.Method, Images: []record.ErasedImage{}, Openings: []record.LeafHash{leaf}}
			})
		}, func(f *forge, m fileSet) { delete(m, logFile(f, layout.PersonalFile(5))) }, ExitVerified, `2 erased by order, "order 12/2026": event 4`, 2, 0},
		"moved": {remark, func(f *forge, m fileSet) {
			name := logFile(f, layout.PersonalFile(5))
			m[name] = []byte(strings.Replace(string(m[name]), `"/handling/remarks"`, `"/handling/purpose"`, 1))
		}, ExitMismatch, "does not match its commitment", 2, 2},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := smallCase(t)
			tt.log(f)
			m := f.build()
			tt.change(f, m)
			r := check(t, m.fs(""), "", f.policy(), tt.exit)
			var text strings.Builder
			for _, l := range r.Lines {
				for _, finding := range l.Findings {
					text.WriteString(finding.String() + "\n")
				}
			}
			if !strings.Contains(text.String(), tt.want) || tt.want == "" && text.Len() > 0 {
				t.Errorf("the report says\n%swant %q", text.String(), tt.want)
			}
			if e := r.Exhibits[1]; e.Undisclosed != tt.closed || e.Unexplained != tt.unexplains {
				t.Errorf("%d not disclosed, %d unexplained, want %d and %d", e.Undisclosed, e.Unexplained, tt.closed, tt.unexplains)
			}
		})
	}
}
