package acquire

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable"
)

func FuzzUnsigned(f *testing.F) {
	f.Add(sampleUnsigned(f))
	f.Add([]byte(`{"acquisition":{},"circumstances":{},"exhibit":"7","openings":[],"type":"exhibit-unsigned/v1"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		u, err := decodeUnsigned(b)
		if err != nil {
			if u.Exhibit != "" || u.Acquisition.ID != "" {
				t.Errorf("%+v with error %v", u, err)
			}
			return
		}
		again, err := encodeUnsigned(u)
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("read\n%s\nwrote\n%s\n%v", b, again, err)
		}
	})
}

func sampleUnsigned(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "unsigned.json"))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func FuzzState(f *testing.F) {
	u, err := decodeUnsigned(sampleUnsigned(f))
	if err != nil {
		f.Fatal(err)
	}
	s := State{Acquisition: u.Acquisition, Cause: record.CauseUnknown, Circumstances: u.Circumstances, Exhibit: u.Exhibit, Openings: u.Openings,
		Journal: SavedJournal{record.SHA256Digest([32]byte{1}), 7},
		Phase:   PhaseReading, Midstates: []Midstate{{record.SHA256, "00"}}, Saved: u.Acquisition.Started}
	sample, err := s.encode(func([]byte) ([]byte, error) { return []byte("signature"), nil })
	if err != nil {
		f.Fatal(err)
	}
	if got, err := decodeState(sample); err != nil || got.Exhibit != u.Exhibit {
		f.Fatalf("decode the sample: %v", err)
	}
	f.Add(sample)
	f.Add([]byte("{}\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decodeState(b)
		if err != nil {
			if s.Exhibit != "" || s.file != nil {
				t.Errorf("%+v with error %v", s, err)
			}
			return
		}
		again, err := s.encode(func([]byte) ([]byte, error) { return s.signature, nil })
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("read\n%s\nwrote\n%s\n%v", b, again, err)
		}
	})
}

// The sample is accepted, and no single change of a byte goes through as the same record.
func TestDecodeUnsigned(t *testing.T) {
	sample := sampleUnsigned(t)
	if _, err := decodeUnsigned(sample); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]string{
		{`unsigned/v1`, `unsigned/v2`}, {`"exhibit":"7/a"`, `"exhibit":""`}, {`"openings":[`, `"openings":[{},`},
		{`"value":"exhibit acquire"`, `"value":"exhibit acquirE"`}, {`"format":"raw"`, `"format":"aff4"`}, {`"unread"`, `"Unread"`},
	} {
		changed := bytes.Replace(sample, []byte(c[0]), []byte(c[1]), 1)
		if bytes.Equal(changed, sample) {
			t.Fatalf("the sample lacks %s", c[0])
		}
		if u, err := decodeUnsigned(changed); err == nil || u.Exhibit != "" {
			t.Errorf("with %s: got %+v, %v, want an error", c[1], u, err)
		}
	}
}

// A folder whose files are not those of the record is not offered for signing.
func TestReadUnsignedChecksFiles(t *testing.T) {
	for name, damage := range map[string]func(dir string) error{
		"nothing":     func(string) error { return nil },
		"journal":     func(dir string) error { return os.WriteFile(dir+"/journal", []byte("x"), 0o600) },
		"sums bytes":  func(dir string) error { return os.WriteFile(dir+"/SHA256SUMS", make([]byte, 4), 0o600) },
		"short image": func(dir string) error { return os.Truncate(dir+"/7.raw", 2) },
		"no tree":     func(dir string) error { return os.Remove(dir + "/7.tree") },
	} {
		dir := t.TempDir()
		u, err := decodeUnsigned(sampleUnsigned(t))
		if err != nil {
			t.Fatal(err)
		}
		files := map[string]string{"7.raw": "abc", "7.tree": "tree", "SHA256SUMS": "sums", "B3SUMS": "sums", "journal": "line"}
		u.Acquisition.Files = nil
		u.Acquisition.Medium.SizeBytes = 3
		for i, f := range []string{"7.raw", "7.tree", "SHA256SUMS", "B3SUMS", "journal"} {
			role := []string{record.RoleImage, record.RoleTree, record.RoleSums, record.RoleSums, record.RoleJournal}[i]
			b := []byte(files[f])
			u.Acquisition.Files = append(u.Acquisition.Files, record.File{Name: f, Role: role, SizeBytes: int64(len(b)), Digests: digestsOf(b)})
			if err := os.WriteFile(filepath.Join(dir, f), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		b, err := encodeUnsigned(u)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "unsigned.json"), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := damage(dir); err != nil {
			t.Fatal(err)
		}
		root, err := durable.OpenRoot(dir)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ReadUnsigned(root)
		root.Close()
		if (err == nil) != (name == "nothing") || err != nil && got.Exhibit != "" {
			t.Errorf("%s: got exhibit %q, %v", name, got.Exhibit, err)
		}
	}
}

// FuzzSplitMap holds what is taken over, by a map of anybody, against that map sector by sector.
func FuzzSplitMap(f *testing.F) {
	f.Add([]byte("0 ? 1\n0 700 +\n700 4300 -\n5000 9000 +\n14000 77 *\n"), uint8(0))
	f.Add([]byte("0 + 1\n0 4096 +\n4096 1 /\n4097 4095 +\n"), uint8(3))
	f.Add([]byte("0 + 1\n0 0x7FFFFFFFFFFFFFFF +\n"), uint8(3))
	f.Add([]byte("0 + 1\n0 0 ?\n"), uint8(3))
	f.Fuzz(func(t *testing.T, text []byte, shift uint8) {
		theirs, err := image.ParseMap(bytes.NewReader(text), image.MapLimits{Ranges: 1000})
		if err != nil {
			return
		}
		sector := int64(512) << (shift % 4)
		list, start, err := splitMap(theirs, sector)
		if err != nil {
			t.Fatal(err)
		}
		size := theirs.Size()
		for part := range start.All() {
			if part.Status == image.Finished || part.Status == image.Bad || part.Offset%sector != 0 {
				t.Errorf("the rescue would begin with %+v", part)
			}
		}
		if size == 0 {
			return
		}
		// Each border is looked at from both sides, and so is each sector that has one.
		for part := range theirs.All() {
			for _, at := range []int64{part.Offset, part.End() - 1} {
				begin := at / sector * sector
				end := size
				if begin < size-sector {
					end = begin + sector
				}
				whole := theirs.At(begin).Status == image.Finished && theirs.At(begin).End() >= end
				if taken := list.At(at).Status == image.Finished; taken != whole {
					t.Errorf("byte %d: taken %t, but its sector is finished: %t", at, taken, whole)
				}
				if have := list.At(at).Status; have != image.Finished && have != image.NonTried {
					t.Errorf("byte %d of the list has status %q", at, have)
				}
			}
		}
		for part := range list.All() {
			if part.Offset%sector != 0 {
				t.Errorf("%+v of the list begins within a sector", part)
			}
		}
	})
}
