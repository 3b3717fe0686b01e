package acquire

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// However many sectors are recovered, the journal keeps room for what ends a run: first each is told, then many in a line, then
// none; all are counted.
func TestRecoveredIsBounded(t *testing.T) {
	dir := t.TempDir()
	root, err := durable.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	journal, err := root.OpenAppend(layout.Journal)
	if err != nil {
		t.Fatal(err)
	}
	defer journal.Close()
	clock := func() record.Time {
		return record.NewTime(time.Date(2026, 11, 23, 8, 15, 0, 0, time.UTC), record.ClockSystem, record.Known(true))
	}
	r := &run{opts: Options{Clock: clock}, dests: []*dest{{journal: journal}}, rescue: &rescuing{}}
	parts := func() []image.Range {
		return []image.Range{{Offset: 8192, SizeBytes: 512}, {Offset: 4096, SizeBytes: 1024}, {Offset: 2048, SizeBytes: 512}}
	}
	for _, size := range []int64{0, listRecoveredTo, listRecoveredTo + 1, tellRecoveredTo, tellRecoveredTo + 1} {
		r.rescue.recovered = parts()
		r.lines.size = size
		if err := r.tellRecovered(); err != nil {
			t.Fatal(err)
		}
	}
	if got := r.acq.Unread.RecoveredBytes; got != 5*2048 {
		t.Errorf("%d bytes counted, want %d", got, 5*2048)
	}
	b, err := os.ReadFile(filepath.Join(dir, layout.Journal))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(b)) {
		line, _, _ = strings.Cut(strings.TrimPrefix(line, `{"event":"recovered",`), `,"time"`)
		got = append(got, line)
	}
	want := []string{
		`"offset":8192,"sizeBytes":512,"text":""`, `"offset":4096,"sizeBytes":1024,"text":""`, `"offset":2048,"sizeBytes":512,"text":""`,
		`"offset":8192,"sizeBytes":512,"text":""`, `"offset":2048,"sizeBytes":3072,"text":"of these 1536 bytes, in 2 ranges"`,
		`"offset":2048,"sizeBytes":6656,"text":"of these 2048 bytes, in 3 ranges"`,
		`"offset":2048,"sizeBytes":6656,"text":"of these 2048 bytes, in 3 ranges"`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the journal says\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if room := layout.MaxJournal - tellRecoveredTo; room < record.MaxInterruptions*8<<10 {
		t.Errorf("%d bytes are left for the rest of the journal", room)
	}
}

func TestFindHolder(t *testing.T) {
	const locks = "1: POSIX  ADVISORY  READ 77 08:01:1234 128 128\n" +
		"2: FLOCK  ADVISORY  WRITE 4711 08:01:1234 0 EOF\n" +
		"2: -> FLOCK  ADVISORY  WRITE 4712 08:01:1234 0 EOF\n" +
		"3: FLOCK  ADVISORY  WRITE -1 fe:00:5 0 EOF\nrubbish\n"
	for file, want := range map[string]int{"08:01:1234": 4711, "08:01:123": 0, "fe:00:5": 0, "": 0} {
		if got := findHolder(strings.NewReader(locks), file); got != want {
			t.Errorf("%q is held by %d, want %d", file, got, want)
		}
	}
}
