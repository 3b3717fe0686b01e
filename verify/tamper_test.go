package verify

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// tampering is a case that somebody with some of the right keys has changed, or that is unfinished or odd.
type tampering struct {
	make func(t *testing.T) (*forge, fileSet)
	code int
	line int    // that shows it; 0: a note
	text string // a part of its finding
}

func logFile(f *forge, name string) string { return layout.LogDir(f.origin) + "/" + name }

// seized is a case with one sound event, to which the tampering adds its own.
func seizedCase(t *testing.T) *forge {
	f := newForge(t)
	f.seize("7")
	return f
}

// addAcquired logs a record that change has changed, and seals its folder.
func addAcquired(f *forge, by sign.Signer, change func(*forgedImage, *record.Acquired)) string {
	m := newImage("7", idA, pattern(100, 1), 0)
	e, o := f.newAcquired("7", m.acq)
	change(&m, e)
	index := f.event(by, e, o)
	f.publish()
	dir := f.seal("7", idA, index, o)
	for name, b := range m.files {
		f.files[dir+"/"+name] = b
	}
	return dir
}

func untouched(*forgedImage, *record.Acquired) {}

func soundCase(t *testing.T) *forge {
	f := seizedCase(t)
	addAcquired(f, f.station, untouched)
	return f
}

var signerTamperings = map[string]tampering{
	"a sound case": {func(t *testing.T) (*forge, fileSet) { f := soundCase(t); return f, f.build() }, ExitVerified, 0, ""},
	"record signed by a stranger whose key lies in keys/": {func(t *testing.T) (*forge, fileSet) {
		f := seizedCase(t)
		key := newKey()
		stranger := must(sign.NewSoftwareSigner(key))
		f.files[layout.KeyFile(stranger.PublicKey().KeyID())] = certificateOf(key)
		addAcquired(f, stranger, untouched)
		return f, f.build()
	}, ExitMismatch, 2, "which the log does not admit"},
	"record signed by a key admitted for seizures only": {func(t *testing.T) (*forge, fileSet) {
		f := seizedCase(t)
		addAcquired(f, f.person, untouched)
		return f, f.build()
	}, ExitMismatch, 2, `and not for "acquired"`},
	"seizure signed by the station": {func(t *testing.T) (*forge, fileSet) {
		f := newForge(t)
		e, o := f.newSeized("7")
		f.event(f.station, e, o)
		f.publish()
		return f, f.build()
	}, ExitMismatch, 2, `for ["acquired" "copied"] and not for "seized"`},
	"a folder's record signed again by a stranger": {func(t *testing.T) (*forge, fileSet) {
		f := soundCase(t)
		files := f.build()
		name := f.sealed[0].dir + "/" + layout.Statement
		files[name] = must(sign.Seal(newSigner(), must(sign.ParseEnvelope(files[name])).Payload))
		return f, files
	}, ExitMismatch, 3, "it differs from the statement that was logged"},
	"a folder's record signed again by the right key": {func(t *testing.T) (*forge, fileSet) {
		f := soundCase(t)
		files := f.build()
		name := f.sealed[0].dir + "/" + layout.Statement
		files[name] = must(sign.Seal(f.station, must(sign.ParseEnvelope(files[name])).Payload))
		return f, files
	}, ExitMismatch, 3, "it differs from the statement that was logged"},
	"doubled member in a signed payload": {func(t *testing.T) (*forge, fileSet) {
		f := newForge(t)
		e, o := f.newSeized("7")
		payload := bytes.Replace(must(record.Encode(e)), []byte(`"seals":`), []byte(`"seals":["S-9"],"seals":`), 1)
		f.append(f.person, payload, o)
		f.publish()
		return f, f.build()
	}, ExitMismatch, 2, "duplicate"},
	"doubled member in an envelope": {func(t *testing.T) (*forge, fileSet) {
		f := newForge(t)
		e, o := f.newSeized("7")
		b := must(sign.Seal(f.person, must(record.Encode(e))))
		f.appendEnvelope(b, f.person, o)
		f.publish()
		files := f.build()
		files[logFile(f, layout.StatementFile(1))] = bytes.Replace(b, []byte(`{"payload"`), []byte(`{"payload":"","payload"`), 1)
		return f, files
	}, ExitMismatch, 2, "duplicate"},
	"a statement of a later type": {func(t *testing.T) (*forge, fileSet) {
		f := soundCase(t)
		e, _ := f.newSeized("8")
		f.append(f.person, bytes.Replace(must(record.Encode(e)), []byte("/seized/v1"), []byte("/melted/v1"), 1), nil)
		f.publish()
		return f, f.build()
	}, ExitUnknown, 2, "this program does not know"},
	"a second genesis": {func(t *testing.T) (*forge, fileSet) {
		f := soundCase(t)
		f.append(f.person, must(record.Encode(f.genesis)), nil)
		f.publish()
		return f, f.build()
	}, ExitMismatch, 2, `not for "case-opened"`},
	"an edited case.json": {func(t *testing.T) (*forge, fileSet) {
		f := soundCase(t)
		files := f.build()
		g := *f.genesis
		g.Case = "2026-002"
		files[layout.CaseFile] = must(record.Encode(&g))
		return f, files
	}, ExitMismatch, 2, "it differs from the genesis"},
	"an opening of another value": {func(t *testing.T) (*forge, fileSet) {
		f := soundCase(t)
		files := f.build()
		name := logFile(f, layout.PersonalFile(1))
		files[name] = bytes.Replace(files[name], []byte("laptop, black"), []byte("laptop, white"), 1)
		return f, files
	}, ExitMismatch, 2, "does not match its commitment"},
	"all openings erased": {func(t *testing.T) (*forge, fileSet) {
		f := soundCase(t)
		files := f.build()
		for _, name := range files.names() {
			if strings.HasSuffix(name, ".personal.json") {
				delete(files, name)
			}
		}
		return f, files
	}, ExitVerified, 0, ""},
}

var eventTamperings = map[string]tampering{
	"an event left out of the middle": {func(t *testing.T) (*forge, fileSet) {
		f := seizedCase(t)
		f.previous["7"] = last{2, record.LeafHash{7}} // that of the event that is gone
		addAcquired(f, f.station, untouched)
		return f, f.build()
	}, ExitMismatch, 6, "what lies between is not in the log"},
	"the first event left out": {func(t *testing.T) (*forge, fileSet) {
		f := newForge(t)
		f.previous["7"] = last{1, record.LeafHash{7}}
		addAcquired(f, f.station, untouched)
		return f, f.build()
	}, ExitMismatch, 6, "events 1 to 1 are not in the log"},
	"events in another order": {func(t *testing.T) (*forge, fileSet) {
		f := newForge(t)
		first, o1 := f.newSeized("7")
		m := newImage("7", idA, pattern(100, 1), 0)
		f.previous["7"] = last{1, record.LeafHash{7}}
		second, o2 := f.newAcquired("7", m.acq)
		f.event(f.station, second, o2)
		f.event(f.person, first, o1)
		f.publish()
		return f, f.build()
	}, ExitMismatch, 6, "the order was changed"},
	"an event tied to another": {func(t *testing.T) (*forge, fileSet) {
		f := seizedCase(t)
		f.previous["7"] = last{1, record.LeafHash{7}}
		addAcquired(f, f.station, untouched)
		return f, f.build()
	}, ExitMismatch, 6, "follows an event with leaf 07"},
	"acquired though never seized": {func(t *testing.T) (*forge, fileSet) {
		f := newForge(t)
		addAcquired(f, f.station, untouched)
		return f, f.build()
	}, ExitUnknown, 6, "though never seized"},
	"an event for another log": {func(t *testing.T) (*forge, fileSet) {
		f := seizedCase(t)
		addAcquired(f, f.station, func(_ *forgedImage, e *record.Acquired) { e.Event.Log.Origin = must(layout.NewOrigin(rand.Reader)) })
		return f, f.build()
	}, ExitMismatch, 3, "was signed for another log"},
	"an event that saw an older checkpoint": {func(t *testing.T) (*forge, fileSet) {
		f := newForge(t)
		old := f.header("7")
		f.seize("7")
		addAcquired(f, f.station, func(_ *forgedImage, e *record.Acquired) { e.Event.Log = old.Log })
		return f, f.build()
	}, ExitMismatch, 3, "names an older checkpoint"},
	"an event that saw a later checkpoint": {func(t *testing.T) (*forge, fileSet) {
		f := seizedCase(t)
		addAcquired(f, f.station, func(_ *forgedImage, e *record.Acquired) { e.Event.Log.Size = 3 })
		return f, f.build()
	}, ExitMismatch, 3, "a checkpoint that comes after it"},
	"an event that saw another checkpoint": {func(t *testing.T) (*forge, fileSet) {
		f := seizedCase(t)
		addAcquired(f, f.station, func(_ *forgedImage, e *record.Acquired) { e.Event.Log.Checkpoint = record.SHA256Digest([32]byte{1}) })
		return f, f.build()
	}, ExitMismatch, 3, "there were two logs"},
	"two acquisitions": {func(t *testing.T) (*forge, fileSet) {
		f := soundCase(t)
		f.acquire("7", idB, pattern(50, 3), 0)
		return f, f.build()
	}, ExitVerified, 0, ""},
	"the same acquisition twice": {func(t *testing.T) (*forge, fileSet) {
		f := soundCase(t)
		f.acquire("7", idA, pattern(100, 1), 0)
		return f, f.build()
	}, ExitMismatch, 6, "recorded a second time"},
}

var folderTamperings = map[string]tampering{
	"a folder that no event names": {func(t *testing.T) (*forge, fileSet) {
		f, other := soundCase(t), newForge(t)
		other.seize("9")
		dir := other.acquire("9", idB, pattern(80, 9), 0)
		for name, b := range other.files {
			if strings.HasPrefix(name, dir) {
				f.files[name] = b
			}
		}
		return f, f.build()
	}, ExitUnknown, 6, "no event in the logs of this case names this folder"},
	"a folder that is gone": {func(t *testing.T) (*forge, fileSet) {
		f := soundCase(t)
		files := f.build()
		for _, name := range files.names() {
			if strings.HasPrefix(name, f.sealed[0].dir) {
				delete(files, name)
			}
		}
		return f, files
	}, ExitUnknown, 1, "missing"},
	"a folder still called .partial": {func(t *testing.T) (*forge, fileSet) {
		f := soundCase(t)
		files := f.build()
		for _, name := range files.names() {
			if rest, ok := strings.CutPrefix(name, f.sealed[0].dir); ok {
				files[f.sealed[0].dir+layout.PartialSuffix+rest] = files[name]
				delete(files, name)
			}
		}
		return f, files
	}, ExitUnknown, 1, "missing"},
	"another acquisition that is not finished": {func(t *testing.T) (*forge, fileSet) {
		f := soundCase(t)
		files := f.build()
		files["exhibits/7/"+idB+layout.PartialSuffix+"/journal"] = []byte("x")
		return f, files
	}, ExitVerified, 0, "not finished"},
	"an exhibit folder of a wrong name": {func(t *testing.T) (*forge, fileSet) {
		f := soundCase(t)
		files := f.build()
		files["exhibits/7 b/x"] = []byte("x")
		return f, files
	}, ExitUnknown, 6, "not called as an exhibit is"},
	"files that no record covers": {func(t *testing.T) (*forge, fileSet) {
		f := soundCase(t)
		files := f.build()
		files["readme.txt"], files["exhibits/x"], files[f.sealed[0].dir+"/notes.txt"], files["keys/x"] = nil, nil, nil, nil
		return f, files
	}, ExitVerified, 0, "not covered"},
	"lines in SHA256SUMS that do not follow": {func(t *testing.T) (*forge, fileSet) {
		f := seizedCase(t)
		addAcquired(f, f.station, func(m *forgedImage, e *record.Acquired) {
			b := append(m.files[layout.SHA256Sums], "0000  x\n"...)
			m.files[layout.SHA256Sums] = b
			replaceFile(e, record.File{Name: layout.SHA256Sums, Role: record.RoleSums, SizeBytes: int64(len(b)), Digests: digests(b)})
		})
		return f, f.build()
	}, ExitMismatch, 1, "not those that follow from the record"},
	"a wrong SHA-256 beside a right BLAKE3": {func(t *testing.T) (*forge, fileSet) {
		f := seizedCase(t)
		addAcquired(f, f.station, func(_ *forgedImage, e *record.Acquired) {
			e.Acquisition.Digests[1].Digest = record.SHA256Digest([32]byte{1})
		})
		return f, f.build()
	}, ExitMismatch, 1, "not the one in the record"},
	"a wrong BLAKE3 beside a right SHA-256": {func(t *testing.T) (*forge, fileSet) {
		f := seizedCase(t)
		addAcquired(f, f.station, func(_ *forgedImage, e *record.Acquired) {
			e.Acquisition.Digests[0].Digest = record.BLAKE3Digest([32]byte{1})
		})
		return f, f.build()
	}, ExitMismatch, 1, "the tree belongs to other bytes"},
	"a wrong digest of the image file": {func(t *testing.T) (*forge, fileSet) {
		f := seizedCase(t)
		addAcquired(f, f.station, func(_ *forgedImage, e *record.Acquired) {
			e.Acquisition.Files[0].Digests = []record.Digest{e.Acquisition.Files[0].Digests[0], record.SHA256Digest([32]byte{1})}
		})
		return f, f.build()
	}, ExitMismatch, 1, "not the one in the record"},
	"a right MD5 asked for": {func(t *testing.T) (*forge, fileSet) {
		f := seizedCase(t)
		addAcquired(f, f.station, func(m *forgedImage, e *record.Acquired) { addMD5(e, m.files["7.raw"]) })
		return f, f.build()
	}, ExitVerified, 0, ""},
	"a wrong MD5 asked for": {func(t *testing.T) (*forge, fileSet) {
		f := seizedCase(t)
		addAcquired(f, f.station, func(_ *forgedImage, e *record.Acquired) { addMD5(e, []byte("other")) })
		return f, f.build()
	}, ExitMismatch, 1, "not the one in the record"},
}

func replaceFile(e *record.Acquired, file record.File) {
	for i := range e.Acquisition.Files {
		if e.Acquisition.Files[i].Name == file.Name {
			e.Acquisition.Files[i] = file
		}
	}
}

func addMD5(e *record.Acquired, data []byte) {
	h := newHash[record.MD5]()
	must(h.Write(data))
	d := record.MediaDigest{Computed: record.ComputedWhileReading, Digest: must(record.NewDigest(record.MD5, h.Sum(nil)))}
	e.Acquisition.Digests = []record.MediaDigest{e.Acquisition.Digests[0], d, e.Acquisition.Digests[1]}
	e.Acquisition.Options.ExtraDigests = []record.Algorithm{record.MD5}
}

func TestTampering(t *testing.T) {
	t.Parallel()
	for _, group := range []map[string]tampering{signerTamperings, eventTamperings, logTamperings, folderTamperings, twinTamperings, copyTamperings} {
		for name, tt := range group {
			t.Run(name, func(t *testing.T) {
				f, files := tt.make(t)
				r := check(t, files.fs(""), "", f.policy(), tt.code)
				found := r.Notes
				if tt.line > 0 {
					found = r.Lines[tt.line-1].Findings
				}
				for _, finding := range found {
					if strings.Contains(finding.Text, tt.text) {
						return
					}
				}
				if tt.text != "" {
					t.Errorf("line %d does not say %q\n%s", tt.line, tt.text, show(r))
				}
			})
		}
	}
}

// TestLongLog crosses the edge of a tile, with leftovers of the partial one.
func TestLongLog(t *testing.T) {
	f := newForge(t)
	for i := range 300 {
		e, o := f.newSeized(fmt.Sprint(i))
		f.event(f.person, e, o)
		if i == 99 || i == 280 {
			f.publish()
		}
	}
	f.publish()
	f.acquire("7", idA, pattern(10, 1), 0)
	files := f.build()
	r := check(t, files.fs(""), "", f.policy(), ExitVerified)
	if c := r.Cases[0]; c.Entries != 302 || c.Checkpoints != 5 {
		t.Errorf("%d entries and %d checkpoints, want 302 and 5", c.Entries, c.Checkpoints)
	}
	full := files[logFile(f, layout.TilePath(0, 0, 256))]
	files[logFile(f, layout.TilePath(0, 0, 101))] = full[:101*32]
	check(t, files.fs(""), "", f.policy(), ExitVerified)
	for name, code := range map[string]int{
		layout.TilePath(0, 0, 256): ExitUnknown, layout.TilePath(1, 0, 1): ExitUnknown, layout.TilePath(-1, 0, 256): ExitUnknown,
		layout.CheckpointFile(101): ExitUnknown, layout.StatementFile(255): ExitUnknown,
	} {
		without := files.fs("")
		delete(without, logFile(f, name))
		check(t, without, "", f.policy(), code)
	}
	damaged := files.fs("")
	b := bytes.Clone(full)
	b[255*32] ^= 1
	damaged[logFile(f, layout.TilePath(0, 0, 256))] = &fstest.MapFile{Data: b}
	r = check(t, damaged, "", f.policy(), ExitMismatch)
	if n := len(r.Lines[2].Findings); n != 1 || !strings.Contains(r.Lines[2].Findings[0].Text, "byte 8160") {
		t.Errorf("a flipped bit in a tile gives %d findings\n%s", n, show(r))
	}
}

// TestControlCharacters requires that what a hostile file says cannot forge a line of the report.
func TestControlCharacters(t *testing.T) {
	f := soundCase(t)
	files := f.build()
	files[f.sealed[0].dir+"/"+layout.Statement] = []byte("{\"payload\":\"" + base64.StdEncoding.EncodeToString([]byte("\x1b[2J\n1. verified")) + "\"}\x1b[2J\n")
	r := check(t, files.fs(""), "", f.policy(), ExitMismatch)
	r2 := check(t, files.fs(f.sealed[0].dir), "", f.policy(), ExitMismatch)
	for _, l := range append(r.Lines, r2.Lines...) {
		for _, finding := range l.Findings {
			if strings.ContainsAny(finding.Text, "\x1b\n") {
				t.Errorf("finding with control characters: %q", finding.Text)
			}
		}
	}
}
