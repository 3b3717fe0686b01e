//go:build unix

package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// overwrite puts other bytes in a file's place, as somebody with an editor would.
func overwrite(t testing.TB, dir, name string, b []byte) {
	t.Helper()
	name = filepath.Join(dir, name)
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, dir, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func remove(t testing.TB, dir, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

// harm is what somebody did to a log of three entries, and what the next append says of it.
type harm struct {
	want error
	do   func(t *testing.T, dir string)
}

// oldCopies put back what an older copy of the folder had; old-heads are its heads.
func oldCopies() map[string]harm {
	return map[string]harm{
		"checkpoint and heads put back to older ones": {ErrRefused, func(t *testing.T, dir string) {
			overwrite(t, dir, layout.Checkpoint, read(t, dir, "checkpoints/2"))
			overwrite(t, dir, layout.Heads, read(t, dir, "old-heads"))
		}},
		"checkpoint put back, heads gone": {ErrRefused, func(t *testing.T, dir string) {
			overwrite(t, dir, layout.Checkpoint, read(t, dir, "checkpoints/2"))
			remove(t, dir, layout.Heads)
		}},
		"checkpoint put back": {ErrRefused, func(t *testing.T, dir string) {
			overwrite(t, dir, layout.Checkpoint, read(t, dir, "checkpoints/2"))
		}},
		"checkpoint, heads and statements put back": {ErrRefused, func(t *testing.T, dir string) {
			overwrite(t, dir, layout.Checkpoint, read(t, dir, "checkpoints/2"))
			overwrite(t, dir, layout.Heads, read(t, dir, "old-heads"))
			remove(t, dir, layout.StatementFile(2))
			remove(t, dir, layout.PersonalFile(2))
		}},
	}
}

func damages(w *world) map[string]harm {
	return map[string]harm{
		"checkpoint lost": {ErrRefused, func(t *testing.T, dir string) { remove(t, dir, layout.Checkpoint) }},
		"its copy lost":   {ErrRefused, func(t *testing.T, dir string) { remove(t, dir, "checkpoints/3") }},
		"its copy altered": {ErrRefused, func(t *testing.T, dir string) {
			overwrite(t, dir, "checkpoints/3", read(t, dir, "checkpoints/2"))
		}},
		"checkpoint altered": {sign.ErrSignature, func(t *testing.T, dir string) {
			b := read(t, dir, layout.Checkpoint)
			overwrite(t, dir, layout.Checkpoint, bytes.Replace(b, []byte("\n3\n"), []byte("\n2\n"), 1))
		}},
		"checkpoint without its second line": {record.ErrMalformed, func(t *testing.T, dir string) {
			overwrite(t, dir, layout.Checkpoint, cutLine(read(t, dir, layout.Checkpoint)))
		}},
		"a tile altered": {record.ErrMalformed, func(t *testing.T, dir string) {
			overwrite(t, dir, "tile/0/000.p/3", flip(read(t, dir, "tile/0/000.p/3"), 40))
		}},
		"a tile cut":  {record.ErrMalformed, func(t *testing.T, dir string) { overwrite(t, dir, "tile/0/000.p/3", nil) }},
		"a tile lost": {fs.ErrNotExist, func(t *testing.T, dir string) { remove(t, dir, "tile/0/000.p/3") }},
		"a bundle altered": {record.ErrMalformed, func(t *testing.T, dir string) {
			overwrite(t, dir, "tile/entries/000.p/3", flip(read(t, dir, "tile/entries/000.p/3"), 40))
		}},
		"a bundle lost":  {fs.ErrNotExist, func(t *testing.T, dir string) { remove(t, dir, "tile/entries/000.p/3") }},
		"a genesis lost": {fs.ErrNotExist, func(t *testing.T, dir string) { remove(t, dir, layout.StatementFile(0)) }},
		"another genesis of the same keys": {ErrRefused, func(t *testing.T, dir string) {
			overwrite(t, dir, layout.StatementFile(0), must(sign.Seal(w.person, must(record.Encode(w.opened)))))
		}},
		"a pending checkpoint of nothing": {ErrRefused, func(t *testing.T, dir string) {
			c := Checkpoint{Origin: w.opened.Origin, Size: 4}
			overwrite(t, dir, layout.Pending, must(encodePending([]byte(must(w.log.LogSigner.Sign(c.Origin, c.Text()))), 0)))
		}},
		"an older checkpoint pending": {ErrRefused, func(t *testing.T, dir string) {
			overwrite(t, dir, layout.Pending, must(encodePending(read(t, dir, "checkpoints/2"), 0)))
		}},
		"a statement signed once more, heads gone": {record.ErrMalformed, func(t *testing.T, dir string) {
			e := must(sign.ParseEnvelope(read(t, dir, layout.StatementFile(2))))
			overwrite(t, dir, layout.StatementFile(2), must(sign.Seal(w.person, e.Payload)))
			remove(t, dir, layout.Heads)
			if _, err := w.open(t, dir).Statement(2); !errors.Is(err, record.ErrMalformed) {
				t.Errorf("reading it: %v, want %v", err, record.ErrMalformed)
			}
		}},
		"pending torn": {ErrRefused, func(t *testing.T, dir string) { overwrite(t, dir, layout.Pending, []byte("{")) }},
	}
}

// Nothing is signed in any of these.
func TestAppendRefusesAFolderThatContradictsItself(t *testing.T) {
	w := sharedWorld()
	cases := damages(w)
	maps.Copy(cases, oldCopies())
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir, root := create(t, w)
			w.append(t, root, "1")
			b := read(t, dir, layout.Heads)
			w.append(t, root, "2")
			overwrite(t, dir, "old-heads", b)
			c.do(t, dir)
			signed := len(w.log.notes)
			logged, err := Append(context.Background(), root, w.key(), nil, w.next("1"))
			if !errors.Is(err, c.want) || errors.Is(err, ErrUnsettled) || logged != nil {
				t.Errorf("append = %v, %v; want nothing and %v", logged, err, c.want)
			}
			if len(w.log.notes) != signed {
				t.Error("a checkpoint was signed")
			}
			t.Log(err)
		})
	}
}

// A pending checkpoint is published when checkpoints/<size> holds a torn part of it, and refused when it holds anything else.
func TestPendingMeetsItsCheckpoint(t *testing.T) {
	w := sharedWorld()
	for name, c := range map[string]struct {
		bytes func(note []byte) []byte
		want  error
	}{
		"torn":    {func(note []byte) []byte { return note[:70] }, nil},
		"empty":   {func([]byte) []byte { return nil }, nil},
		"whole":   {func(note []byte) []byte { return note }, nil},
		"altered": {func(note []byte) []byte { return flip(note, 50) }, ErrRefused},
		"longer":  {func(note []byte) []byte { return append(bytes.Clone(note), '\n') }, ErrRefused},
	} {
		t.Run(name, func(t *testing.T) {
			dir, root := create(t, w)
			w.killAt(t, dir, durable.OpCreate, "checkpoints/2", "1")
			pending := read(t, dir, layout.Pending)
			note, _, err := ParsePending(pending)
			mustDo(t, err)
			overwrite(t, dir, "checkpoints/2", c.bytes(note))
			recovered, err := w.recover(root)
			if !errors.Is(err, c.want) {
				t.Fatalf("recover: %v, want %v", err, c.want)
			}
			if c.want != nil {
				if !bytes.Equal(read(t, dir, layout.Pending), pending) {
					t.Error("pending was changed")
				}
				return
			}
			if len(recovered) != 1 || !bytes.Equal(read(t, dir, layout.Checkpoint), note) {
				t.Errorf("recovered %d statements, want 1 under the pending checkpoint", len(recovered))
			}
			if _, err := os.Lstat(filepath.Join(dir, "checkpoints/.torn-2-1")); (err == nil) != (name == "torn") {
				t.Errorf("what was set aside: %v", err)
			}
			w.sound(t, dir, 2)
		})
	}
}

func TestAppendRefusesStatements(t *testing.T) {
	w := sharedWorld()
	dir, root := create(t, w)
	w.append(t, root, "1")
	leaf := w.append(t, root, "1")[0].Leaf
	resign := func(s sign.Signer, item Item) Item {
		e := must(sign.ParseEnvelope(item.Envelope))
		return Item{Envelope: must(sign.Seal(s, e.Payload)), Openings: item.Openings}
	}
	for name, c := range map[string]struct {
		want  error
		build func(h Head) Item
	}{
		"a number missed":        {ErrStatement, func(h Head) Item { return w.seized(h, "1", 4, &leaf) }},
		"a number again":         {ErrStatement, func(h Head) Item { return w.seized(h, "1", 2, &leaf) }},
		"the chain begun again":  {ErrStatement, func(h Head) Item { return w.seized(h, "1", 1, nil) }},
		"another previous":       {ErrStatement, func(h Head) Item { return w.seized(h, "1", 3, &record.LeafHash{9}) }},
		"a chain begun at 2":     {ErrStatement, func(h Head) Item { return w.seized(h, "2", 2, &leaf) }},
		"an older size":          {ErrStatement, func(h Head) Item { h.Size--; return w.seized(h, "1", 3, &leaf) }},
		"another checkpoint":     {ErrStatement, func(h Head) Item { h.Checkpoint = record.SHA256Digest([32]byte{1}); return w.seized(h, "1", 3, &leaf) }},
		"another log":            {ErrStatement, func(h Head) Item { h.Origin = newWorld().opened.Origin; return w.seized(h, "1", 3, &leaf) }},
		"a signer not admitted":  {ErrStatement, func(h Head) Item { return resign(w.stranger, w.seized(h, "1", 3, &leaf)) }},
		"a signer of other ones": {ErrStatement, func(h Head) Item { return resign(w.station, w.seized(h, "1", 3, &leaf)) }},
		"another's openings": {ErrStatement, func(h Head) Item {
			return Item{Envelope: w.seized(h, "1", 3, &leaf).Envelope, Openings: w.genesis.Openings}
		}},
		"a second genesis": {ErrStatement, func(Head) Item { return w.genesis }},
		"a broken signature": {sign.ErrSignature, func(h Head) Item {
			a, b := w.seized(h, "1", 3, &leaf), must(sign.ParseEnvelope(w.seized(h, "2", 1, nil).Envelope))
			e := must(sign.ParseEnvelope(a.Envelope))
			return Item{Envelope: bytes.Replace(a.Envelope, base64Of(e.Signature), base64Of(b.Signature), 1), Openings: a.Openings}
		}},
		"no envelope": {record.ErrMalformed, func(Head) Item { return Item{} }},
	} {
		signed := len(w.log.notes)
		_, err := Append(context.Background(), root, w.key(), nil, func(h Head) ([]Item, error) {
			return []Item{w.seized(h, "fine", 1, nil), c.build(h)}, nil
		})
		if !errors.Is(err, c.want) || errors.Is(err, ErrUnsettled) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if len(w.log.notes) != signed || w.open(t, dir).Size() != 3 {
			t.Errorf("%s: something was logged", name)
		}
	}
	if _, err := Append(context.Background(), root, newNotary(), nil, w.next("1")); err == nil {
		t.Error("another log key: it was accepted")
	}
	if _, err := Append(context.Background(), root, w.key(), nil, w.next()); !errors.Is(err, ErrNothing) {
		t.Errorf("no statements: %v, want %v", err, ErrNothing)
	}
	failed := errors.New("no time")
	if _, err := Append(context.Background(), root, w.key(), nil, func(Head) ([]Item, error) { return nil, failed }); !errors.Is(err, failed) {
		t.Errorf("build fails: %v, want %v", err, failed)
	}
	w.append(t, root, "1")
	w.sound(t, dir, 4)
}

func TestReadingLooksBeforeItOpens(t *testing.T) {
	w := sharedWorld()
	for name, c := range map[string]struct {
		file string
		harm func(t *testing.T, full string)
	}{
		"a link":     {layout.Checkpoint, func(t *testing.T, full string) { mustDo(t, os.Symlink("checkpoints/2", full)) }},
		"a FIFO":     {layout.Checkpoint, func(t *testing.T, full string) { mustDo(t, syscall.Mkfifo(full, 0o600)) }},
		"a folder":   {layout.Checkpoint, func(t *testing.T, full string) { mustDo(t, os.Mkdir(full, 0o700)) }},
		"too large":  {layout.Checkpoint, func(t *testing.T, full string) { mustDo(t, os.WriteFile(full, make([]byte, 1<<20), 0o600)) }},
		"tile FIFO":  {"tile/0/000.p/2", func(t *testing.T, full string) { mustDo(t, syscall.Mkfifo(full, 0o600)) }},
		"tile large": {"tile/0/000.p/2", func(t *testing.T, full string) { mustDo(t, os.WriteFile(full, make([]byte, 1<<20), 0o600)) }},
		"statement":  {layout.StatementFile(1), func(t *testing.T, full string) { mustDo(t, syscall.Mkfifo(full, 0o600)) }},
		"openings":   {layout.PersonalFile(1), func(t *testing.T, full string) { mustDo(t, os.Symlink("0.personal.json", full)) }},
		"bundle":     {"tile/entries/000.p/2", func(t *testing.T, full string) { mustDo(t, os.Symlink("../../../checkpoint", full)) }},
		"linked dir": {"statement/000000", func(t *testing.T, full string) {
			mustDo(t, os.Rename(full+".moved", full+".there"))
			mustDo(t, os.Symlink("000000.there", full))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir, root := create(t, w)
			w.append(t, root, "1")
			full := filepath.Join(dir, c.file)
			mustDo(t, os.Rename(full, full+".moved"))
			c.harm(t, full)
			if err := readAll(w, dir); !errors.Is(err, record.ErrMalformed) {
				t.Errorf("reading the log: %v, want %v", err, record.ErrMalformed)
			} else if !strings.Contains(err.Error(), c.file) {
				t.Errorf("the error %q does not name %s", err, c.file)
			}
		})
	}
}

// readAll reads every file of the log once.
func readAll(w *world, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if _, _, _, err := ReadGenesis(root.FS()); err != nil {
		return err
	}
	l, err := Open(root.FS(), w.opened.Origin, w.opened.LogKeys)
	if err != nil {
		return err
	}
	for i := range l.Size() {
		if _, err := l.Statement(i); err != nil {
			return err
		}
		if _, err := l.Openings(i); err != nil {
			return err
		}
	}
	return nil
}

func mustDo(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestReadGenesisRefuses(t *testing.T) {
	w := sharedWorld()
	e := must(sign.ParseEnvelope(w.genesis.Envelope))
	newer := bytes.Replace(e.Payload, []byte("case-opened/v1"), []byte("case-opened/v2"), 1)
	event := w.seized(Head{Origin: w.opened.Origin, Size: 1, Checkpoint: record.SHA256Digest(sha256.Sum256(nil)), Keys: must(GenesisKeys(w.opened))}, "1", 1, nil)
	for name, c := range map[string]struct {
		envelope []byte
		want     error
	}{
		"no envelope":              {[]byte("{}"), record.ErrMalformed},
		"a newer version":          {must(sign.Seal(w.person, newer)), record.ErrNewer},
		"an event":                 {event.Envelope, record.ErrMalformed},
		"signed by a station":      {must(sign.Seal(w.station, e.Payload)), record.ErrMalformed},
		"signed by a stranger":     {must(sign.Seal(w.stranger, e.Payload)), record.ErrMalformed},
		"with another's signature": {bytes.Replace(w.genesis.Envelope, base64Of(e.Signature), base64Of(must(w.person.Sign([]byte("x")))), 1), sign.ErrSignature},
	} {
		fsys := fstest.MapFS{layout.StatementFile(0): {Data: c.envelope}}
		if b, g, leaf, err := ReadGenesis(fsys); !errors.Is(err, c.want) || b != nil || g != nil || leaf != (record.LeafHash{}) {
			t.Errorf("%s: %v, want nothing and %v", name, err, c.want)
		}
	}
	if _, _, _, err := ReadGenesis(fstest.MapFS{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no genesis: %v, want %v", err, fs.ErrNotExist)
	}
}
