package custody

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// What an agency issued for its keys travels with its log, and stands beside what the home agency issued.
func TestCertificatesTravel(t *testing.T) {
	ctx := context.Background()
	_, theirs := newCertified(t)
	_, own := newCertified(t)
	c := newCaseWith(t, func(n *NewCase) { n.Files = map[string][]byte{layout.EnrolmentFile: theirs} })
	f := openFolder(t, handOver(t, c, ""))
	d := newCaseWith(t, func(n *NewCase) {
		n.Number, n.Joins, n.Files = f.Genesis.Case, f.Joining(), map[string][]byte{layout.EnrolmentFile: own}
	})
	for range 2 { // the second time all is there
		if _, err := d.Import(ctx, f); err != nil {
			t.Fatal(err)
		}
	}
	// Later their agency has issued more.
	_, more := newCertified(t)
	from := handOver(t, c, "")
	if err := errors.Join(os.Remove(filepath.Join(from, layout.EnrolmentFile)), os.WriteFile(filepath.Join(from, layout.EnrolmentFile), more, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Import(ctx, openFolder(t, from)); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]byte{layout.EnrolmentFile: own, layout.EnrolmentOf(f.Genesis.Origin): more} {
		if got, err := os.ReadFile(filepath.Join(d.Dir(), name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%q holds %d bytes, %v; want %d", name, len(got), err, len(want))
		}
	}
}

// A file that does not show what its name says makes the whole log refused; one that nobody asked for is not looked at.
func TestKeyFilesThatDoNotFit(t *testing.T) {
	c := newCarried(t)
	station := c.station.PublicKey().KeyID()
	other, _ := newCertified(t)
	keys, err := c.Keys()
	if err != nil {
		t.Fatal(err)
	}
	var log string
	for id, kind := range keys.Kinds() {
		if kind == sign.KindLog {
			log = id
		}
	}
	for name, want := range map[string]error{
		layout.KeyAttestationFile(station):                               record.ErrMalformed,
		layout.KeyAttestationFile(log):                                   record.ErrMalformed,
		layout.EnrolmentFile:                                             record.ErrMalformed,
		layout.KeyAttestationFile(other.PublicKey().KeyID()):             nil,
		layout.EnrolmentOf("aaaaaaaaaaaaaaaaaaaaaaaaaa.exhibit.invalid"): nil,
	} {
		dir := handOver(t, c, "")
		if err := os.WriteFile(filepath.Join(dir, name), []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := OpenForeign(context.Background(), os.DirFS(dir))
		if !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%q: %v, want %v", name, err, want)
		}
		if err == nil && f.keyFiles[name] != nil {
			t.Errorf("%q was taken", name)
		}
	}
}

// Another agency's log can admit a key of this one; it does not say what holds that key here.
func TestOwnKeysAreNobodyElses(t *testing.T) {
	c := newCarried(t)
	name := layout.KeyAttestationFile(c.station.PublicKey().KeyID())
	if err := c.keepKeyFiles("aaaaaaaaaaaaaaaaaaaaaaaaaa.exhibit.invalid", map[string][]byte{name: []byte("{}"), layout.EnrolmentFile: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{name, layout.EnrolmentFile} {
		if _, err := os.Stat(filepath.Join(c.Dir(), name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%q was kept: %v", name, err)
		}
	}
}
