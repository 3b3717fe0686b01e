package verify

import (
	"archive/zip"
	"bytes"
	"io/fs"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// extractOf is the file of an extract of an exhibit, as the holder of the log writes it.
func (f *forge) extractOf(t *testing.T, exhibit string) []byte {
	t.Helper()
	sub := must(fs.Sub(f.build().fs(""), layout.LogDir(f.origin)))
	l := must(ledger.Open(sub, f.origin, f.genesis.LogKeys))
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	_, err := l.WriteExtract(exhibit, nil, nil, func(name string, data []byte) error {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write(data)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Who signed the entry that leads to the changes of keys counts, and each event names the change before it.
func TestExtractAndKeys(t *testing.T) {
	const file = "8.extract"
	for name, test := range map[string]struct {
		make func(f *forge)
		lost bool // the second person's key is revoked
		code int
	}{
		"sound": {func(f *forge) {
			f.change(f.person, false, withdrawing(f.second))
			f.noteBy(f.person)
		}, false, ExitVerified},
		"an event passes over the change": {func(f *forge) {
			f.change(f.person, false, withdrawing(f.second))
			changes := f.changes
			f.changes = nil
			f.noteBy(f.person)
			f.changes = changes
			f.seize("9")
		}, false, ExitMismatch},
		"a revoked key signed the last entry": {func(f *forge) {
			f.noteBy(f.person)
			e, o := f.newSeized("9")
			f.event(f.second, e, o)
			f.publish()
		}, true, ExitUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			f := changingCase(t)
			test.make(f)
			p := f.policy()
			if test.lost {
				p.Trust = append(p.Trust, must(NewRevocationEntry(f.second.PublicKey().KeyID(), trustDay, "lost", trustDay)))
			}
			check(t, fileSet{file: f.extractOf(t, "8")}.fs(""), file, p, test.code)
		})
	}
}

// What an import that was killed left behind is no extract, and no history of a log.
func TestLeftOfAnImport(t *testing.T) {
	f := newForge(t)
	f.seize("7")
	f.acquire("7", idA, []byte("the bytes"), 0)
	files := f.build()
	const origin = "aaaaaaaaaaaaaaaaaaaaaaaaaa.exhibit.invalid"
	for _, name := range []string{layout.ExtractsDir + "/" + origin + "/7-9-0000000000000000.extract", layout.ExtractsDir + "/" + origin + "/.x.tmp", layout.ForksDir + "/" + origin + "/.x.tmp"} {
		files[name] = nil
	}
	r := check(t, files.fs(""), "", f.policy(), ExitVerified)
	if len(r.Notes) < 3 {
		t.Errorf("notes %+v, want one a file", r.Notes)
	}
}

// An extract of the case's own log that knows more than the log here shows that this is an older copy.
func TestExtractOfTheOwnLog(t *testing.T) {
	f := newForge(t)
	f.seize("7")
	f.acquire("7", idA, []byte("the bytes"), 0)
	files := f.build()
	check(t, files.fs(""), "", f.policy(), ExitVerified)
	f.seize("8")
	b := f.extractOf(t, "7")
	sum := record.SHA256Of(b)
	files[must(layout.ExtractFile(f.origin, "7", f.newest(), sum.Hex()))] = b
	r := check(t, files.fs(""), "", f.policy(), ExitMismatch)
	if !says(r, 4, "the log was cut back, or is an old copy") {
		t.Errorf("%s", show(r))
	}
}
