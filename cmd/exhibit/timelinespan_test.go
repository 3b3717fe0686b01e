package main

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

// A span that the times of late entries turn round, or lay over another, is not shown as if it were certain.
func TestSpansOfLateEntries(t *testing.T) {
	at := func(minute int, holder string) moment {
		when := time.Date(2026, 11, 23, 9, minute, 0, 0, time.UTC)
		return moment{When: when.Format("15:04"), At: when, Holder: holder}
	}
	for name, c := range map[string]struct {
		moments []moment
		want    []span
	}{
		"none":      {nil, nil},
		"in order":  {[]moment{at(0, "A"), at(0, "A"), at(1, "B"), at(1, "C")}, []span{{"09:00", "09:01", "A", false}, {"09:01", "09:01", "B", false}, {"09:01", "now", "C", false}}},
		"turned":    {[]moment{at(5, "A"), at(3, "B"), at(9, "C")}, []span{{"09:05", "09:03", "A", true}, {"09:03", "09:09", "B", true}, {"09:09", "now", "C", false}}},
		"laid over": {[]moment{at(0, "A"), at(5, "B"), at(3, "C"), at(4, "D")}, []span{{"09:00", "09:05", "A", false}, {"09:05", "09:03", "B", true}, {"09:03", "09:04", "C", true}, {"09:04", "now", "D", true}}},
		"same hand": {[]moment{at(5, "A"), at(3, "A"), at(6, "B")}, []span{{"09:05", "09:06", "A", false}, {"09:06", "now", "B", false}}},
	} {
		if got := spans(c.moments, func(m moment) string { return m.Holder }); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

// The page can be printed: several sheets of it, and a word of warning where the times of a span are not certain.
func TestTimelineOnPaper(t *testing.T) {
	chromium := testtool.Need(t, "chromium")[0]
	page, err := browserPage().render()
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(page, []byte("(times not certain:")); n != 1 {
		t.Errorf("the page warns of %d spans, want 1", n)
	}
	dir := t.TempDir()
	file, paper := filepath.Join(dir, "page.html"), filepath.Join(dir, "page.pdf")
	if err := os.WriteFile(file, page, 0o600); err != nil {
		t.Fatal(err)
	}
	browse(t, chromium, "--print-to-pdf="+paper, "--no-pdf-header-footer", "file://"+file)
	pdf, err := os.ReadFile(paper)
	if err != nil {
		t.Fatal(err)
	}
	sheets := bytes.Count(pdf, []byte("/Type /Page\n"))
	if !bytes.HasPrefix(pdf, []byte("%PDF-")) || sheets < 2 || sheets > 8 {
		t.Errorf("%d bytes with %d sheets", len(pdf), sheets)
	}
}
