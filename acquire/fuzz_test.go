package acquire

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable"
)

const journalSample = `{"exhibit":"7","id":"20261123T081500Z-1a2b3c4d","medium":{"kind":"stream","logicalSectorBytes":{"unknown":"a stream does not have it"},"name":{"unknown":"a stream does not have it"},"physicalSectorBytes":{"unknown":"a stream does not have it"},"readOnly":{"unknown":"a stream does not have it"},"sizeBytes":0},"options":{"extraDigests":[],"reread":true,"segmentBytes":0},"time":{"clock":"system","offsetMinutes":60,"synchronised":true,"utc":"2026-11-23T08:15:00.000Z"},"tool":{"build":{"unknown":"a test"},"name":"exhibit","version":"test"},"type":"exhibit-journal/v1"}
{"phase":"reading","time":{"clock":"system","offsetMinutes":60,"synchronised":true,"utc":"2026-11-23T08:15:00.000Z"}}
{"phase":"re-reading","time":{"clock":"system","offsetMinutes":60,"synchronised":true,"utc":"2026-11-23T08:16:00.000Z"}}
{"phase":"finishing","time":{"clock":"system","offsetMinutes":60,"synchronised":true,"utc":"2026-11-23T08:17:00.000Z"}}
`

func TestParseJournal(t *testing.T) {
	lines := strings.SplitAfter(journalSample, "\n")
	good := []string{journalSample, lines[0], lines[0] + lines[1], lines[0] + lines[1] + lines[3]}
	for _, s := range good {
		if _, err := ParseJournal([]byte(s)); err != nil {
			t.Errorf("%v\n%s", err, s)
		}
	}
	for name, s := range map[string]string{
		"nothing":         "",
		"no header":       lines[1],
		"half a line":     strings.TrimSuffix(journalSample, "\n"),
		"empty line":      journalSample + "\n",
		"phase twice":     lines[0] + lines[1] + lines[1],
		"phase backwards": lines[0] + lines[2] + lines[1],
		"unknown phase":   lines[0] + strings.Replace(lines[1], "reading", "writing", 1),
		"unknown member":  strings.Replace(journalSample, `"exhibit"`, `"e":1,"exhibit"`, 1),
		"doubled member":  strings.Replace(journalSample, `"exhibit":"7"`, `"exhibit":"7","exhibit":"7"`, 1),
		"spaces":          strings.Replace(journalSample, `,"id"`, `, "id"`, 1),
		"missing fact":    strings.Replace(journalSample, `"synchronised":true,`, ``, 1),
		"other id":        strings.Replace(journalSample, "20261123T", "20261323T", 1),
	} {
		if j, err := ParseJournal([]byte(s)); !errors.Is(err, record.ErrMalformed) || j.ID != "" {
			t.Errorf("%s: got %+v, %v, want ErrMalformed", name, j, err)
		}
	}
	newer := strings.Replace(journalSample, "journal/v1", "journal/v2", 1)
	if _, err := ParseJournal([]byte(newer)); !errors.Is(err, record.ErrNewer) {
		t.Errorf("version 2: got %v, want ErrNewer", err)
	}
}

// What is accepted is written again byte for byte; what is not gives nothing.
func FuzzJournal(f *testing.F) {
	f.Add([]byte(journalSample))
	f.Add([]byte(journalSample[:700]))
	f.Add([]byte("{}\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		j, err := ParseJournal(b)
		if err != nil {
			if j.ID != "" || j.Phases != nil {
				t.Errorf("%+v with error %v", j, err)
			}
			return
		}
		var again []byte
		for _, v := range append([]any{j}, phases(j)...) {
			line, err := record.EncodeJSON(v)
			if err != nil {
				t.Fatal(err)
			}
			again = append(append(again, line...), '\n')
		}
		if !bytes.Equal(again, b) {
			t.Errorf("read\n%s\nwrote\n%s", b, again)
		}
	})
}

func phases(j Journal) (all []any) {
	for _, p := range j.Phases {
		all = append(all, p)
	}
	return all
}

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

// The sample is accepted, and no single change of a byte goes through as the same record.
func TestDecodeUnsigned(t *testing.T) {
	sample := sampleUnsigned(t)
	if _, err := decodeUnsigned(sample); err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]string{
		{`unsigned/v1`, `unsigned/v2`}, {`"exhibit":"7/a"`, `"exhibit":""`}, {`"openings":[`, `"openings":[{},`},
		{`"value":"exhibit acquire"`, `"value":"exhibit acquirE"`}, {`"format":"raw"`, `"format":"e01"`}, {`"unread"`, `"Unread"`},
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
