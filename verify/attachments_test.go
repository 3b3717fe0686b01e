package verify

import (
	"crypto/rand"
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// attach logs a note about exhibit 8 with these files, which lie in its folder.
func (f *forge) attach(texts ...string) {
	f.handle(f.person, "8", record.TypeNoted, func(h *record.Handling, o *record.Openings) {
		h.Remarks = record.Known(must(o.Commit(rand.Reader, "/handling/remarks", "as it came")))
		for _, text := range texts {
			h.Attachments = append(h.Attachments, record.Attachment{Digests: digests([]byte(text)), Name: h.Place, SizeBytes: int64(len(text))})
			f.files[attachedFile(text)] = []byte(text)
		}
	})
}

func attachedFile(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "exhibits/8/" + layout.AttachmentFile(sum[:])
}

// eraseAttached logs an order by which attachments of the exhibit were erased.
func (f *forge) eraseAttached(by sign.Signer, exhibit string, texts ...string) {
	f.handle(by, exhibit, record.TypeDestroyed, func(h *record.Handling, o *record.Openings) {
		h.Authority.Number = record.Known(must(o.Commit(rand.Reader, "/handling/authority/number", "order 13/2026")))
		h.Method = record.Unknown[record.Personal]("not given")
		h.Erasure = &record.Erasure{Copies: h.Method, Images: []record.ErasedImage{}, Openings: []record.LeafHash{}}
		for _, text := range texts {
			h.Erasure.Attachments = append(h.Erasure.Attachments, digests([]byte(text))[1])
		}
		h.Erasure.Attachments = record.SortDigests(h.Erasure.Attachments)
	})
}

// An attachment is what its event says; where it is missing, only a later order of the same log and exhibit that names it excuses
// that, and what is here is checked whatever was ordered.
func TestAttachments(t *testing.T) {
	ordered := func(f *forge) { f.attach("a", "b"); f.eraseAttached(f.person, "8", "a") }
	tests := map[string]struct {
		events  func(*forge)
		gone    []string
		changed string
		exit    int
		line    Status
		want    string // in line 6
	}{
		"whole":              {func(f *forge) { f.attach("a", "b") }, nil, "", ExitVerified, Verified, "has no gap"},
		"missing":            {func(f *forge) { f.attach("a", "b") }, []string{"a"}, "", ExitUnknown, Unknown, "the file is missing"},
		"changed":            {func(f *forge) { f.attach("a", "b") }, nil, "b", ExitMismatch, Failed, "the attachment is not the one that the event names"},
		"ordered":            {ordered, []string{"a"}, "", ExitVerified, AbsentByOrder, "1 attachment was erased by order: \"order 13/2026\""},
		"more than ordered":  {ordered, []string{"a", "b"}, "", ExitUnknown, Unknown, "the file is missing"},
		"ordered and here":   {ordered, nil, "", ExitVerified, Verified, "it is still here, although"},
		"ordered, changed":   {ordered, nil, "a", ExitMismatch, Failed, "the attachment is not the one that the event names"},
		"all":                {func(f *forge) { f.attach("a", "b"); f.eraseAttached(f.person, "8", "a", "b") }, []string{"a", "b"}, "", ExitVerified, AbsentByOrder, "Not here, and not checked: 2 attachments"},
		"another exhibit's":  {func(f *forge) { f.attach("a"); f.eraseAttached(f.person, "7/a", "a") }, []string{"a"}, "", ExitUnknown, Unknown, "breaks the rule no-such-event"},
		"attached again":     {func(f *forge) { ordered(f); f.attach("a") }, []string{"a"}, "", ExitUnknown, Unknown, "the file is missing"},
		"and erased again":   {func(f *forge) { ordered(f); f.attach("a"); f.eraseAttached(f.person, "8", "a") }, []string{"a"}, "", ExitVerified, AbsentByOrder, "event 6 "},
		"before it was here": {func(f *forge) { f.eraseAttached(f.person, "8", "a"); f.attach("a") }, []string{"a"}, "", ExitUnknown, Unknown, "the file is missing"},
		"by no admitted key": {func(f *forge) { f.attach("a"); f.eraseAttached(f.station, "8", "a") }, []string{"a"}, "", ExitMismatch, Unknown, "the file is missing"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := smallCase(t)
			tt.events(f)
			m := f.build()
			for _, text := range tt.gone {
				if _, ok := m[attachedFile(text)]; !ok {
					t.Fatalf("the case has no %q", text)
				}
				delete(m, attachedFile(text))
			}
			if tt.changed != "" {
				m[attachedFile(tt.changed)] = []byte("x")
			}
			r := check(t, m.fs(""), "", f.policy(), tt.exit)
			if r.Lines[5].Status != tt.line || !strings.Contains(show(r), tt.want) {
				t.Errorf("line 6 is %v, want %v with %q\n%s", r.Lines[5].Status, tt.line, tt.want, show(r))
			}
			if e := r.Exhibits[1].Erased; tt.line == AbsentByOrder && (len(e) != len(tt.gone) || e[0].Order != "order 13/2026" || e[0].KeyID == "") {
				t.Errorf("erased: %+v", e)
			}
		})
	}
}

// A file that no event names is noted, and changes nothing; one that another size was said of is no attachment.
func TestStrangeAttachments(t *testing.T) {
	f := smallCase(t)
	f.attach("a")
	m := f.build()
	m[attachedFile("other")] = []byte("other")
	if r := check(t, m.fs(""), "", f.policy(), ExitVerified); !strings.Contains(show(r), "note: "+attachedFile("other")) {
		t.Error(show(r))
	}
	m[attachedFile("a")] = []byte("a and more")
	if r := check(t, m.fs(""), "", f.policy(), ExitMismatch); !strings.Contains(show(r), "the attachment has another size than the event says") {
		t.Error(show(r))
	}
}
