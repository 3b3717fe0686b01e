package verify

import (
	"crypto/rand"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// erase logs that an order had these files of an acquisition erased.
func (f *forge) erase(by sign.Signer, exhibit, id string, of record.LeafHash, files ...string) {
	f.handle(by, exhibit, record.TypeDestroyed, func(h *record.Handling, o *record.Openings) {
		slices.Sort(files)
		h.Authority = record.Authority{Issuer: record.Known(must(o.Commit(rand.Reader, "/handling/authority/issuer", "Example Court"))),
			Kind: record.Known("court-order"), Number: record.Known(must(o.Commit(rand.Reader, "/handling/authority/number", "order 12/2026")))}
		h.Method = record.Unknown[record.Personal]("not given")
		h.Erasure = &record.Erasure{Copies: h.Method,
			Images: []record.ErasedImage{{Acquisition: id, Files: files, Record: of}}, Openings: []record.LeafHash{}}
	})
}

const (
	rawA  = "exhibits/7%2Fa/" + idA + "/7%2Fa.raw"
	treeA = "exhibits/7%2Fa/" + idA + "/7%2Fa.tree"
	oneB  = "exhibits/8/" + idB + "/8.001"
	twoB  = "exhibits/8/" + idB + "/8.002"
)

// Data that an order had erased is absent by order; an order for one thing excuses nothing else, and nothing that is here.
func TestErasedByOrder(t *testing.T) {
	whole := func(f *forge) { f.erase(f.person, "7/a", idA, f.leafOf(idA), "7%2Fa.raw", "7%2Fa.tree") }
	tests := map[string]struct {
		order  func(*forge)
		gone   []string
		change func(fileSet)
		exit   int
		image  Status
		want   string // in lines 1 to 6
	}{
		"ordered":             {whole, []string{rawA, treeA}, nil, ExitVerified, AbsentByOrder, `"order 12/2026" of "Example Court", event 3 (log entry 5), signed by key `},
		"half of it here":     {whole, []string{rawA}, nil, ExitVerified, AbsentByOrder, "it is still here, although"},
		"all of it here":      {whole, nil, nil, ExitVerified, Verified, "it is still here, although"},
		"no order":            {func(*forge) {}, []string{rawA, treeA}, nil, ExitUnknown, Unknown, "the file is missing"},
		"more than ordered":   {whole, []string{rawA, treeA, "exhibits/7%2Fa/" + idA + "/" + layout.SHA256Sums}, nil, ExitUnknown, Unknown, "SHA256SUMS"},
		"another exhibit's":   {whole, []string{rawA, treeA, oneB}, nil, ExitUnknown, Unknown, "the file is missing"},
		"the tree alone":      {func(f *forge) { f.erase(f.person, "7/a", idA, f.leafOf(idA), "7%2Fa.tree") }, []string{rawA, treeA}, nil, ExitUnknown, Unknown, "the file is missing"},
		"one segment":         {func(f *forge) { f.erase(f.person, "8", idB, f.leafOf(idB), "8.001") }, []string{oneB}, nil, ExitVerified, AbsentByOrder, "1 file of acquisition"},
		"another segment":     {func(f *forge) { f.erase(f.person, "8", idB, f.leafOf(idB), "8.001") }, []string{oneB, twoB}, nil, ExitUnknown, Unknown, "the file is missing"},
		"in another chain":    {func(f *forge) { f.erase(f.person, "8", idA, f.leafOf(idA), "7%2Fa.raw", "7%2Fa.tree") }, []string{rawA, treeA}, nil, ExitUnknown, Unknown, "breaks the rule no-such-acquisition"},
		"of another record":   {func(f *forge) { f.erase(f.person, "7/a", idA, f.leafOf(idB), "7%2Fa.raw", "7%2Fa.tree") }, []string{rawA, treeA}, nil, ExitUnknown, Unknown, "of which the record has leaf"},
		"sums cannot be":      {func(f *forge) { f.erase(f.person, "7/a", idA, f.leafOf(idA), layout.SHA256Sums) }, []string{"exhibits/7%2Fa/" + idA + "/" + layout.SHA256Sums}, nil, ExitUnknown, Unknown, "no image or tree"},
		"not admitted for it": {func(f *forge) { f.erase(f.station, "7/a", idA, f.leafOf(idA), "7%2Fa.raw", "7%2Fa.tree") }, []string{rawA, treeA}, nil, ExitMismatch, Unknown, "which the log admits for"},
		"changed, not absent": {whole, []string{treeA}, func(m fileSet) { m[rawA] = append([]byte{^m[rawA][0]}, m[rawA][1:]...) }, ExitMismatch, Failed, "the digest is not the one in the record"},
		"cut off, not absent": {whole, []string{treeA}, func(m fileSet) { m[rawA] = m[rawA][:5] }, ExitMismatch, Failed, "it was cut off"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := smallCase(t)
			tt.order(f)
			m := f.build()
			for _, name := range tt.gone {
				if _, ok := m[name]; !ok {
					t.Fatalf("the case has no %s", name)
				}
				delete(m, name)
			}
			if tt.change != nil {
				tt.change(m)
			}
			r := check(t, m.fs(""), "", f.policy(), tt.exit)
			if r.Lines[0].Status != tt.image {
				t.Errorf("line 1 is %v, want %v", r.Lines[0].Status, tt.image)
			}
			var text strings.Builder
			for _, l := range r.Lines {
				text.WriteString(l.Sentence + "\n")
				for _, finding := range l.Findings {
					text.WriteString(finding.String() + "\n")
				}
			}
			if !strings.Contains(text.String(), tt.want) {
				t.Errorf("the report says\n%swant %q", text.String(), tt.want)
			}
		})
	}
}

// An order that was logged before the record can excuse nothing of it, even where whoever made it knew the record's leaf: an
// attacker who holds the log key and rewrites the whole log has the order after it, and only what others saw of the log shows that.
func TestOrderBeforeTheRecord(t *testing.T) {
	later := smallCase(t).leafOf(idA)
	f := newForge(t)
	f.seize("7/a")
	f.erase(f.person, "7/a", idA, later, "7%2Fa.raw", "7%2Fa.tree")
	f.acquire("7/a", idA, pattern(700, 1), 0)
	m := f.build()
	delete(m, rawA)
	delete(m, treeA)
	if r := check(t, m.fs(""), "", f.policy(), ExitUnknown); r.Lines[0].Status != Unknown || len(r.Acquisitions[0].Erased) > 0 {
		t.Errorf("line 1 is %v, %v", r.Lines[0].Status, r.Acquisitions[0].Erased)
	}
}

// An acquisition folder by itself has no log that could hold an order; and an order does not make a case one that is trusted.
func TestErasedElsewhere(t *testing.T) {
	f := smallCase(t)
	f.erase(f.person, "7/a", idA, f.leafOf(idA), "7%2Fa.raw", "7%2Fa.tree")
	m := f.build()
	delete(m, rawA)
	delete(m, treeA)
	if r := check(t, m.fs("exhibits/7%2Fa/"+idA), "", f.policy(), ExitUnknown); r.Lines[0].Status != Unknown {
		t.Errorf("alone, line 1 is %v", r.Lines[0].Status)
	}
	if r := check(t, m.fs(""), "", Policy{}, ExitUnknown); r.Lines[0].Status != AbsentByOrder {
		t.Errorf("untrusted, line 1 is %v", r.Lines[0].Status)
	}
	r := check(t, m.fs(""), "", f.policy(), ExitVerified)
	if e := r.Acquisitions[0].Erased; len(e) != 2 || e[0].File != "7%2Fa.tree" || e[0].Index != 5 || e[0].Order != "order 12/2026" || e[0].Court != "Example Court" {
		t.Errorf("erased: %+v", e)
	}
	if len(r.Acquisitions[1].Erased) != 0 || r.Acquisitions[1].Image != Verified || r.Acquisitions[0].Image != AbsentByOrder {
		t.Errorf("acquisitions: %+v", r.Acquisitions)
	}
}

// leafOf is the leaf hash of the record of an acquisition.
func (f *forge) leafOf(id string) record.LeafHash {
	for i, envelope := range f.envelopes {
		e, err := sign.ParseEnvelope(envelope)
		if err == nil {
			if a, ok := must(record.Decode(e.Payload)).(*record.Acquired); ok && a.Acquisition.ID == id {
				return f.leaves[i]
			}
		}
	}
	return record.LeafHash{}
}
