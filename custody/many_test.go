package custody

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
	"github.com/exhibit-forensics/exhibit/verify"
)

// A case of many exhibits and events: what the writer keeps of them says the same as the log, an append refuses what the rules
// refuse, the states are those that were made, and the case verifies. With EXHIBIT_SOAK=1 there are ten thousand exhibits
// and a million events, and the times are logged.
func TestManyEvents(t *testing.T) {
	exhibits, events := 40, 400
	if os.Getenv("EXHIBIT_SOAK") == "1" {
		exhibits, events = 10_000, 1_000_000
	}
	c, _ := pairCase(t)
	since := func(what string, begun time.Time) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		t.Logf("%s: %v, %d MiB in use", what, time.Since(begun).Round(time.Millisecond), m.HeapInuse>>20)
	}
	begun := time.Now()
	fillLog(t, c, exhibits, events)
	since("append by batches of 5000", begun)

	begun = time.Now()
	note := handled(t, record.TypeNoted, "one more", nil)
	note.Event.Header().Exhibit = "x7"
	if _, err := c.by(c.person, note); err != nil {
		t.Fatal(err)
	}
	since("append of one", begun)
	unseal := handled(t, record.TypeUnsealed, "", func(h *record.Handling) { h.SealsRemoved = []string{"S-1"} })
	unseal.Event.Header().Exhibit = "x7"
	if _, err := c.by(c.person, unseal); broken(err) == "" {
		t.Errorf("a seal that is not there was removed: %v", err)
	}
	headsAgain(t, c, "x7")

	begun = time.Now()
	reports, err := c.States()
	if err != nil || len(reports) != exhibits {
		t.Fatalf("states of %d exhibits, %v; want %d", len(reports), err, exhibits)
	}
	since("the state of each exhibit", begun)
	begun = time.Now()
	if history, err := c.History("x7"); err != nil || len(history) != events/exhibits+2 {
		t.Errorf("a history of %d events, %v; want %d", len(history), err, events/exhibits+2)
	}
	since("the history of one", begun)
	mustDo(t, os.RemoveAll(filepath.Join(c.Dir(), layout.KeysDir))) // those of these tests are none
	begun = time.Now()
	report, err := verify.Verify(t.Context(), c.root.FS(), "", verify.Policy{})
	if err != nil || report.ExitCode() != verify.ExitUnknown { // no trust was given, and nothing contradicts
		t.Errorf("verify: %d, %v", report.ExitCode(), err)
	}
	since("verification", begun)
}

// fillLog appends the seizure of each exhibit and its notes, one exhibit after the other, as who takes over the books of a
// store would: a batch reads what the log has of each exhibit in it.
func fillLog(t *testing.T, c *testCase, exhibits, events int) {
	t.Helper()
	var batch []Unlogged
	for i := range events {
		each := events / exhibits
		number := "x" + strconv.Itoa(i/each)
		e := seized(t, number)
		if i%each > 0 {
			e = handled(t, record.TypeNoted, "note "+strconv.Itoa(i), nil)
			e.Event.Header().Exhibit = number
		}
		if batch = append(batch, e); len(batch) < 5000 && i < events-1 {
			continue
		}
		if _, err := c.AppendBatch(t.Context(), batch, c.person, c.log, testClock); err != nil {
			t.Fatal(err)
		}
		batch = nil
	}
}

// headsAgain requires that the writer's heads, made again from the log by the next append, are those that were there, but
// for that append.
func headsAgain(t *testing.T, c *testCase, exhibit string) {
	t.Helper()
	dir := filepath.Join(c.Dir(), layout.LogDir(c.genesis.Origin))
	parts := func() map[string][]byte {
		found := map[string][]byte{}
		for i := range 1024 {
			if b, err := os.ReadFile(filepath.Join(dir, layout.HeadsPart(i))); err == nil {
				found[layout.HeadsPart(i)] = b
			}
		}
		return found
	}
	before := parts()
	mustDo(t, os.RemoveAll(filepath.Join(dir, layout.HeadsDir)))
	note := handled(t, record.TypeNoted, "and another", nil)
	note.Event.Header().Exhibit = exhibit
	begun := time.Now()
	if _, err := c.by(c.person, note); err != nil {
		t.Fatal(err)
	}
	t.Logf("append of one, with the heads made again: %v", time.Since(begun))
	after, differ := parts(), 0
	for name, b := range before {
		if !bytes.Equal(after[name], b) {
			differ++
		}
	}
	if len(before) == 0 || len(after) != len(before) || differ != 1 {
		t.Errorf("of %d parts %d were made again and %d differ, want 1", len(before), len(after), differ)
	}
}
