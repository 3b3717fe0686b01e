package verify

import (
	"crypto/rand"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// close appends the statement that closes the log.
func (f *forge) close() {
	var o record.Openings
	c := &record.CaseClosed{Because: must(o.Commit(rand.Reader, "/because", "final")), By: record.Known(must(o.Commit(rand.Reader, "/by", "I. N. Spector"))),
		Log: f.header("7").Log, Time: testTime}
	f.append(f.person, must(record.Encode(c)), o)
	f.publish()
}

// A log that was closed says so; whatever stands after its end is no honest entry, and what it left open is a gap.
func TestClosedLog(t *testing.T) {
	f := newForge(t)
	f.seize("7")
	f.acquire("7", "20261123T081500Z-1a2b3c4d", []byte("the bytes"), 0)
	f.close()
	r := check(t, f.build().fs(""), "", f.policy(), ExitUnknown)
	if c := r.Cases[0].Closed; c == nil || c.By != "I. N. Spector" || c.Index != r.Cases[0].Entries-1 {
		t.Errorf("closed: %+v", c)
	}
	if !says(r, 6, "the log was closed while the exhibit was in somebody's hands") {
		t.Errorf("a log that left an exhibit open: %d, %+v", r.ExitCode(), r.Lines[5])
	}
	f.seize("8")
	r = check(t, f.build().fs(""), "", f.policy(), ExitMismatch)
	if !says(r, 3, "which closed the log") {
		t.Errorf("an entry after the end: %d, %+v", r.ExitCode(), r.Lines[2])
	}
}

func says(r Report, line int, text string) bool {
	for _, f := range r.Lines[line-1].Findings {
		if strings.Contains(f.Text, text) {
			return true
		}
	}
	return false
}
