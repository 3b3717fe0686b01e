package ewf

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestSegmentExtension(t *testing.T) {
	for n, want := range map[int]string{
		1: ".E01", 9: ".E09", 99: ".E99", 100: ".EAA", 125: ".EAZ", 126: ".EBA", 775: ".EZZ", 776: ".FAA",
		MaxSegments - 1: ".ZZY", MaxSegments: ".ZZZ",
	} {
		if got, err := SegmentExtension(n); got != want || err != nil {
			t.Errorf("SegmentExtension(%d) = %q, %v, want %q", n, got, err, want)
		}
	}
	for _, n := range []int{-1, 0, MaxSegments + 1} {
		if got, err := SegmentExtension(n); got != "" || !errors.Is(err, ErrValue) {
			t.Errorf("SegmentExtension(%d) = %q, %v, want ErrValue", n, got, err)
		}
	}
	seen := map[string]bool{}
	for n := 1; n <= MaxSegments; n++ {
		ext, err := SegmentExtension(n)
		if err != nil || seen[ext] {
			t.Fatalf("segment %d is %q again, or %v", n, ext, err)
		}
		seen[ext] = true
		for _, e := range []string{ext, strings.ToLower(ext)} {
			if got, ok := index('E', e); got != n || !ok {
				t.Fatalf("index of %q: %d, %t, want %d", e, got, ok, n)
			}
		}
	}
	for _, ext := range []string{"", ".E00", ".E1", ".E001", "E01", ".DAA", ".E0A", ".EA0", ".[AA", ".001", ".F01", ".É1"} {
		if got, ok := index('E', ext); ok {
			t.Errorf("index of %q: %d, want none", ext, got)
		}
	}
}

// TestKnownBytes compares with bytes that ewfacquire wrote.
func TestKnownBytes(t *testing.T) {
	for _, tt := range []struct {
		what string
		got  []byte
		want string
	}{
		{"file header", FileHeader{1}.Append(nil), "455646090d0aff000101000000"},
		{"hash", Hash{[16]byte(unhex("92d7c1231055a6936e5f565931de8755"))}.Append(nil),
			"92d7c1231055a6936e5f565931de8755000000000000000000000000000000005307e7b5"},
		{"digest", Digest{[16]byte(unhex("92d7c1231055a6936e5f565931de8755")),
			[20]byte(unhex("67157e15c76f65b1fd95a7a198cab0fb6fa7d973"))}.Append(nil),
			"92d7c1231055a6936e5f565931de875567157e15c76f65b1fd95a7a198cab0fb6fa7d973" + strings.Repeat("00", 40) + "f712ec36"},
		{"volume", Volume{MediaType: MediaFixed, Chunks: 16, SectorsPerChunk: 64, BytesPerSector: 512, Sectors: 982,
			Flags: FlagImage | FlagPhysical, Level: LevelFast, ErrorGranularity: 64}.Append(nil),
			"01000000100000004000000000020000d6030000" + strings.Repeat("00", 16) + "03000000" + strings.Repeat("00", 12) +
				"0100000040000000" + strings.Repeat("00", 1048-60) + "710156c8"},
	} {
		if got := hex.EncodeToString(tt.got); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.what, got, tt.want)
		}
	}
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

var aHeader = Header{
	Case: "2026-117", Evidence: "A/3", Description: "Schülerplatte 東京 😀", Examiner: "A. Muster", Notes: "found in the drawer",
	Model: "FICTION 1000", Serial: "SN-0001", AcquiredSoftwareVersion: "exhibit 0.1", OS: "Linux 6.1",
	Acquired: time.Unix(1795761105, 0).UTC(), System: time.Unix(1795761106, 0).UTC(),
}

func TestHeaderRoundTrip(t *testing.T) {
	for _, h := range []Header{{}, aHeader} {
		b, err := h.Header2()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ParseHeader2(b); got != h || err != nil {
			t.Errorf("header2: got %+v, %v\nwant %+v", got, err, h)
		}
		b, err = h.Header1()
		if err != nil {
			t.Fatal(err)
		}
		want := h
		want.Model, want.Serial = "", "" // header has no place for them
		want.LocalTimes = !h.Acquired.IsZero()
		want.Description = strings.ReplaceAll(strings.Map(func(r rune) rune {
			if r > '~' {
				return '?'
			}
			return r
		}, want.Description), "\x00", "")
		if got, err := ParseHeader1(b); got != want || err != nil {
			t.Errorf("header: got %+v, %v\nwant %+v", got, err, want)
		}
	}
}

func TestHeaderRefused(t *testing.T) {
	for name, h := range map[string]Header{
		"tab":         {Notes: "a\tb"},
		"line":        {Case: "a\nb"},
		"return":      {Model: "a\r"},
		"nul":         {Serial: "a\x00"},
		"not UTF-8":   {Examiner: "\xff"},
		"long text":   {Notes: strings.Repeat("ü", MaxText+1)},
		"long av":     {AcquiredSoftwareVersion: strings.Repeat("1", MaxSoftwareVersion+1)},
		"long ov":     {OS: strings.Repeat("1", MaxOS+1)},
		"epoch":       {Acquired: time.Unix(0, 0)},
		"before":      {System: time.Unix(-1, 0)},
		"year 2107":   {Acquired: time.Date(2107, 1, 1, 0, 0, 0, 0, time.UTC)},
		"surrogate":   {Notes: "\xed\xa0\x80"},
		"case in tab": {Case: "\t"},
	} {
		if b, err := h.Header2(); b != nil || !errors.Is(err, ErrValue) {
			t.Errorf("%s: header2 of %d bytes, %v, want ErrValue", name, len(b), err)
		}
		if b, err := h.Header1(); b != nil || !errors.Is(err, ErrValue) {
			t.Errorf("%s: header of %d bytes, %v, want ErrValue", name, len(b), err)
		}
	}
	longest := Header{Notes: strings.Repeat("ü", MaxText), AcquiredSoftwareVersion: strings.Repeat("1", MaxSoftwareVersion),
		OS: strings.Repeat("1", MaxOS), Acquired: time.Unix(1, 0), System: time.Unix(1<<32-1, 0)}
	if err := longest.Check(); err != nil {
		t.Error(err)
	}
}

// TestForeignFormats names what is not read, in words an examiner knows.
func TestForeignFormats(t *testing.T) {
	for start, want := range map[string]string{
		"LVF\x09\x0d\x0a\xff\x00\x01\x01\x00\x00\x00": "L01",
		"EVF2\x0d\x0a\x81\x00":                        "Ex01",
		"LEF2\x0d\x0a\x81\x00":                        "Lx01",
		"ADCRYPT\x00":                                 "encrypted",
		"":                                            "signature",
		"EVF":                                         "signature",
	} {
		h, err := ParseFileHeader([]byte(start))
		if h != (FileHeader{}) || !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, %v, want ErrFormat that says %q", start, h, err, want)
		}
	}
}

func TestError2(t *testing.T) {
	ranges := []Range{{0, 1}, {8192, 8}, {1<<32 - 1, 1<<32 - 1}}
	b, err := AppendError2([]byte("before"), ranges)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ParseError2(b[6:]); !reflect.DeepEqual(got, ranges) || err != nil {
		t.Errorf("got %v, %v, want %v", got, err, ranges)
	}
	for _, r := range []Range{{-1, 1}, {1 << 32, 1}, {0, 1 << 32}, {0, -1}} {
		if b, err := AppendError2(nil, []Range{r}); b != nil || !errors.Is(err, ErrValue) {
			t.Errorf("%v: got %d bytes, %v, want ErrValue", r, len(b), err)
		}
	}
}

func TestTable(t *testing.T) {
	first, err1 := NewEntry(76, false)
	second, err2 := NewEntry(MaxEntryOffset, true)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	entries := []Entry{first, second}
	b := AppendTable(nil, 1883, entries)
	if int64(len(b)) != TableBytes(2) {
		t.Errorf("%d bytes, TableBytes says %d", len(b), TableBytes(2))
	}
	base, got, err := ParseTable(b)
	if base != 1883 || !reflect.DeepEqual(got, entries) || err != nil {
		t.Errorf("got %d, %v, %v", base, got, err)
	}
	if e := got[1]; e.Offset() != MaxEntryOffset || !e.Compressed() || got[0].Compressed() {
		t.Errorf("entries %v", got)
	}
	for _, o := range []int64{-1, MaxEntryOffset + 1} {
		if e, err := NewEntry(o, true); e != 0 || !errors.Is(err, ErrValue) {
			t.Errorf("NewEntry(%d) = %v, %v", o, e, err)
		}
	}
}

// FuzzFormat: what a Parse function takes, Append writes as something that parses to the same; on error the result is
// zero.
func FuzzFormat(f *testing.F) {
	h2, err2 := aHeader.Header2()
	h1, err1 := aHeader.Header1()
	e2, err3 := AppendError2(nil, []Range{{1, 2}, {3, 4}})
	if err := errors.Join(err1, err2, err3); err != nil {
		f.Fatal(err)
	}
	volume := Volume{MediaType: MediaFixed, Chunks: 16, SectorsPerChunk: 64, BytesPerSector: 512, Sectors: 982, SetID: [16]byte{1}}
	smart := volume
	smart.SMART, smart.SetID = true, [16]byte{}
	for _, b := range [][]byte{
		FileHeader{7}.Append(nil), Section{TypeSectors, 4711, 4698}.Append(nil), volume.Append(nil), smart.Append(nil),
		AppendTable(nil, 76, []Entry{1, 1 << 31}), Hash{[16]byte{9}}.Append(nil), Digest{[16]byte{9}, [20]byte{8}}.Append(nil),
		h2, h1, e2, nil,
	} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		roundTrip(t, b, ParseFileHeader, func(v FileHeader) []byte { return v.Append(nil) })
		roundTrip(t, b, ParseSection, func(v Section) []byte { return v.Append(nil) })
		roundTrip(t, b, ParseVolume, func(v Volume) []byte { return v.Append(nil) })
		roundTrip(t, b, ParseTableHeader, func(v TableHeader) []byte { return v.Append(nil) })
		roundTrip(t, b, ParseHash, func(v Hash) []byte { return v.Append(nil) })
		roundTrip(t, b, ParseDigest, func(v Digest) []byte { return v.Append(nil) })
		if base, entries, err := ParseTable(b); err != nil && (base != 0 || entries != nil) {
			t.Errorf("a table with the error %v: %d, %v", err, base, entries)
		} else if err == nil && !bytes.Equal(AppendTable(nil, base, entries)[TableHeaderBytes:], b[TableHeaderBytes:]) {
			t.Error("a table is written with other entries")
		}
		if ranges, err := ParseError2(b); err == nil {
			again, err := AppendError2(nil, ranges)
			if err != nil || !bytes.Equal(again[520:], b[520:]) || binary.LittleEndian.Uint32(again) != binary.LittleEndian.Uint32(b) {
				t.Errorf("error ranges are written differently: %v", err)
			}
		} else if ranges != nil {
			t.Errorf("ranges %v with the error %v", ranges, err)
		}
		headerTrip(t, b)
	})
}

func roundTrip[T comparable](t *testing.T, b []byte, parse func([]byte) (T, error), write func(T) []byte) {
	t.Helper()
	var zero T
	v, err := parse(b)
	if err != nil {
		if v != zero {
			t.Errorf("%T: %+v with the error %v", v, v, err)
		}
		return
	}
	if again, err := parse(write(v)); again != v || err != nil {
		t.Errorf("%T: %+v became %+v, %v", v, v, again, err)
	}
}

// headerTrip: a header that was read, and can be written, is read as the same.
func headerTrip(t *testing.T, b []byte) {
	for _, parse := range []func([]byte) (Header, error){ParseHeader1, ParseHeader2} {
		h, err := parse(b)
		if err != nil {
			if h != (Header{}) {
				t.Errorf("header %+v with the error %v", h, err)
			}
			continue
		}
		h.Label, h.PasswordHash, h.LocalTimes = "", "", false // not written
		again, err := h.Header2()
		if err != nil {
			continue
		}
		if got, err := ParseHeader2(again); got != h || err != nil {
			t.Errorf("header %+v became %+v, %v", h, got, err)
		}
	}
}
