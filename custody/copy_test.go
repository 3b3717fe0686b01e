package custody

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
)

// copiedOf is a copy, under another identifier, of an acquisition that is logged.
func copiedOf(t *testing.T, exhibit, id string, of Logged) Unlogged {
	t.Helper()
	var open record.Openings
	commit := func(path string) record.Personal {
		p, err := open.Commit(rand.Reader, path, "x")
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	a := of.Record.Acquisition
	ref := record.Reference{ID: a.ID, Leaf: of.Leaf}
	none := record.Unknown[record.Personal]("not given")
	files := a.Files[:len(a.Files)-1] // without the journal
	return Unlogged{&record.Copied{Event: record.Header{Exhibit: exhibit},
		Circumstances: record.CopyCircumstances{CommandLine: commit("/circumstances/commandLine"), Examiner: none, Host: none, SourcePath: commit("/circumstances/sourcePath")},
		Copy: record.Copy{Destination: a.Destinations[0], Digests: a.Digests, Started: a.Started, Ended: a.Ended, Files: files, Format: a.Format, Host: a.Host, ID: id,
			Options: record.CopyOptions{Compression: record.CompressionNone}, Original: ref, Source: ref,
			Reread: record.Reread{Kind: record.RereadCached, Matches: true}, SizeBytes: a.Medium.SizeBytes, Tool: a.Tool}}, open}
}

// A copy is logged once, found by its identifier, and no acquisition for who looks for one; its signature is checked.
func TestCopied(t *testing.T) {
	c, ctx := newCase(t), context.Background()
	const id, id2 = "20261123T081500Z-00000001", "20261124T081500Z-00000002"
	e := acquired(t, "7", id)
	if _, err := c.Append(ctx, e.Event, e.Openings, c.station, c.log, testClock); err != nil {
		t.Fatal(err)
	}
	of, found, err := c.FindImage("7", id)
	if err != nil || !found || of.Record == nil || of.Copy != nil {
		t.Fatalf("FindImage = %+v, %t, %v", of, found, err)
	}
	m := copiedOf(t, "7", id2, of)
	if _, err := c.Append(ctx, m.Event, m.Openings, c.person, c.log, testClock); !errors.Is(err, ErrNotAdmitted) {
		t.Errorf("signed by a key that is not admitted: %v, want ErrNotAdmitted", err)
	}
	if _, err := c.Append(ctx, m.Event, m.Openings, c.station, c.log, testClock); err != nil {
		t.Fatal(err)
	}
	again := copiedOf(t, "7", id2, of)
	if _, err := c.Append(ctx, again.Event, again.Openings, c.station, c.log, testClock); !errors.Is(err, ErrRecorded) {
		t.Errorf("logged twice: %v, want ErrRecorded", err)
	}
	if _, err := c.Append(ctx, acquired(t, "7", id2).Event, nil, c.station, c.log, testClock); !errors.Is(err, ErrRecorded) {
		t.Errorf("an acquisition under the copy's identifier: %v, want ErrRecorded", err)
	}
	if _, _, err := c.FindAcquisition("7", id2); !errors.Is(err, ErrRecorded) {
		t.Errorf("FindAcquisition of a copy: %v, want ErrRecorded", err)
	}
	if _, found, err := c.FindImage("8", id2); found || err != nil {
		t.Errorf("FindImage of another exhibit = %t, %v; want false", found, err)
	}
	logged, found, err := c.FindImage("7", id2)
	if err != nil || !found || logged.Copy == nil || logged.Image().ID != id2 || len(logged.Proof) == 0 || len(logged.Genesis) == 0 {
		t.Fatalf("FindImage of the copy = %+v, %t, %v", logged, found, err)
	}
	for _, l := range []Logged{of, logged} {
		if err := c.CheckSignature(&l); err != nil {
			t.Errorf("CheckSignature of entry %d: %v", l.Index, err)
		}
	}
	swapped := logged
	swapped.Leaf = of.Leaf
	if err := c.CheckSignature(&swapped); !errors.Is(err, record.ErrMalformed) {
		t.Errorf("with another leaf: %v, want ErrMalformed", err)
	}
	payload, err := record.Encode(m.Event)
	if err != nil {
		t.Fatal(err)
	}
	for name, by := range map[string]sign.Signer{"a stranger": newSigner(t), "a person": c.person} {
		forged := logged
		if forged.Statement, err = sign.Seal(by, payload); err != nil {
			t.Fatal(err)
		}
		if err := c.CheckSignature(&forged); !errors.Is(err, sign.ErrSignature) {
			t.Errorf("signed by %s: %v, want ErrSignature", name, err)
		}
	}
}
