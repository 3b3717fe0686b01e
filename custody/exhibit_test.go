package custody

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// Two exhibits that people, or file systems, take for one: refused at the first event, and before an image is made.
func TestExhibitsAlike(t *testing.T) {
	c := newCase(t)
	seize := func(number string) error {
		e := seized(t, number)
		_, err := c.Append(t.Context(), e.Event, e.Openings, c.person, c.log, testClock)
		return err
	}
	mustDo(t, seize("7a"))
	mustDo(t, exhibitFolder(c, "B/2"))
	for number, other := range map[string]string{"7A": "7a", "7a ": "7a", " 7A": "7a", "b/2": "B/2"} {
		if err := seize(number); !errors.Is(err, ErrExists) || !strings.Contains(err.Error(), strconv.Quote(other)) {
			t.Errorf("seize %q: %v, want ErrExists that names %q", number, err, other)
		}
		if err := exhibitFolder(c, number); !errors.Is(err, ErrExists) || !strings.Contains(err.Error(), strconv.Quote(other)) {
			t.Errorf("ExhibitFolder(%q): %v, want ErrExists that names %q", number, err, other)
		}
	}
	for _, number := range []string{"B/2", "7 a", "7"} {
		if err := seize(number); err != nil {
			t.Errorf("seize %q: %v", number, err)
		}
	}
	if err := exhibitFolder(c, "7a"); err != nil {
		t.Errorf("the folder of an exhibit that was seized: %v", err)
	}
	both := []Unlogged{seized(t, "x"), seized(t, "X")}
	if _, err := c.AppendBatch(t.Context(), both, c.person, c.log, testClock); !errors.Is(err, ErrExists) {
		t.Errorf("two alike at once: %v, want ErrExists", err)
	}
}

func FuzzFold(f *testing.F) {
	f.Add("7a", " 7A ")
	f.Add("straße ä K", "STRASSE Ä \u212a")
	f.Add("\xff", "\xfe")
	f.Fuzz(func(t *testing.T, a, b string) {
		if !utf8.ValidString(a) || !utf8.ValidString(b) {
			return // no number of an exhibit is
		}
		if got, want := record.FoldExhibit(a) == record.FoldExhibit(b), strings.EqualFold(strings.TrimSpace(a), strings.TrimSpace(b)); got != want {
			t.Errorf("%q and %q are folded to %q and %q, EqualFold says %t", a, b, record.FoldExhibit(a), record.FoldExhibit(b), want)
		}
	})
}

// A folder that nothing was put into goes with the case's Close; any other stays.
func TestEmptyExhibitFolder(t *testing.T) {
	c := newCase(t)
	mustDo(t, os.MkdirAll(filepath.Join(c.Dir(), "exhibits", "before"), 0o755))
	again, err := Open(c.Dir())
	mustDo(t, err)
	for _, number := range []string{"before", "unused", "used"} {
		mustDo(t, exhibitFolder(&testCase{Case: again}, number))
	}
	mustDo(t, os.Mkdir(filepath.Join(c.Dir(), "exhibits", "used", "x.partial"), 0o755))
	mustDo(t, again.Close())
	entries, err := os.ReadDir(filepath.Join(c.Dir(), "exhibits"))
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{"before", "used"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("afterwards there are %q (%v), want %q", names, err, want)
	}
}

func mustDo(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
