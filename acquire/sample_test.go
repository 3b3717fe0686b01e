package acquire

import (
	"fmt"
	"slices"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// What was true of the bytes that the first run read is not taken back by a second one that was more careful.
func TestBothAccesses(t *testing.T) {
	live := record.Access{Live: true, Notes: []string{"a", "b"}, ReadOnlyBefore: record.Known(false), TimeoutBeforeSeconds: record.Known(int64(30))}
	quiet := record.Access{Exclusive: true, Notes: []string{"b", "c"}, ReadOnlyBefore: record.Known(true), TimeoutBeforeSeconds: record.Known(int64(10)),
		TimeoutSeconds: record.Known(int64(10))}
	for name, got := range map[string]record.Access{"live first": bothAccesses(live, quiet), "quiet first": bothAccesses(quiet, live)} {
		slices.Sort(got.Notes)
		if !got.Live || got.Exclusive || !slices.Equal(got.Notes, []string{"a", "b", "c"}) {
			t.Errorf("%s: %+v; want live, not exclusive, all notes", name, got)
		}
	}
	if got := bothAccesses(live, quiet); got.ReadOnlyBefore != live.ReadOnlyBefore || got.TimeoutBeforeSeconds != live.TimeoutBeforeSeconds || got.TimeoutSeconds != quiet.TimeoutSeconds {
		t.Errorf("%+v: what was found before is the first run's, what was set the second's", got)
	}
	if got := bothAccesses(quiet, quiet); got.Live || !got.Exclusive {
		t.Errorf("%+v: held in both runs, and live in none", got)
	}
	var many record.Access
	for i := range record.MaxNotes {
		many.Notes = append(many.Notes, fmt.Sprint(i))
	}
	if got := bothAccesses(many, quiet); len(got.Notes) != record.MaxNotes {
		t.Errorf("%d notes, want no more than a record takes", len(got.Notes))
	}
}
