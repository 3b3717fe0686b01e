package contents

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"io/fs"
	"maps"
	rand2 "math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unicode"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// faulty is a medium with unreadable places; it counts what is read.
type faulty struct {
	b     []byte
	bad   func(off int64) bool
	reads map[int64]int
	bytes int64
}

func (f *faulty) ReadAt(p []byte, off int64) (int, error) {
	f.reads[off]++
	f.bytes += int64(len(p))
	if f.bad != nil && f.bad(off) {
		return 0, &fs.PathError{Op: "read", Path: "/home/m.uster/disk", Err: syscall.EIO}
	}
	return bytes.NewReader(f.b).ReadAt(p, off)
}

// A read error makes a fact unknown, ends nothing, and is not provoked again.
func TestReadErrors(t *testing.T) {
	t.Parallel()
	plain := make([]byte, handBytes)
	handMade["ufs2"].make(plain)
	for name, test := range map[string]struct {
		medium []byte
		bad    int64 // the page that fails
		check  func(t *testing.T, c record.Contents)
	}{
		"the first sector": {gptMedium(512), 0, func(t *testing.T, c record.Contents) {
			if c.MBR.Kind.Reason() != "input/output error" || c.GPT.Use != record.UseBackup || len(c.Partitions) != 2 {
				t.Errorf("mbr %+v, gpt %+v, %d partitions", c.MBR, c.GPT, len(c.Partitions))
			}
			if c.GPT.Primary.Reason() != "input/output error" {
				t.Errorf("the primary copy is %v", c.GPT.Primary)
			}
		}},
		"the entries of the primary copy": {gptMedium(512), 4096, func(t *testing.T, c record.Contents) {
			if c.GPT.Primary.Reason() != "its entries: input/output error" || c.GPT.Use != record.UseBackup || len(c.Partitions) != 2 {
				t.Errorf("gpt %+v, %d partitions", c.GPT, len(c.Partitions))
			}
		}},
		"a place of a signature, nothing found": {make([]byte, handBytes), 64 << 10, func(t *testing.T, c record.Contents) {
			if c.Volume.Signatures.Reason() != "input/output error" || len(c.Volume.Unread) != 1 || c.Volume.Unread[0].OffsetBytes != 64<<10 {
				t.Errorf("volume %+v", c.Volume)
			}
			if c.Volume.PossiblyEncrypted.Reason() != "input/output error" {
				t.Errorf("possibly encrypted %v", c.Volume.PossiblyEncrypted)
			}
		}},
		"a place of a signature, another found": {plain, 32 << 10, func(t *testing.T, c record.Contents) {
			if got := names(c.Volume); len(got) != 1 || got[0] != "ufs2" || len(c.Volume.Unread) != 1 {
				t.Errorf("volume %+v", c.Volume)
			}
		}},
		"a place that nobody needs": {plain, 1<<20 + 4096, func(t *testing.T, c record.Contents) {
			if len(c.Volume.Unread) != 0 {
				t.Errorf("volume %+v", c.Volume)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f := &faulty{test.medium, func(off int64) bool { return off == test.bad }, map[int64]int{}, 0}
			c, _ := lookAt(t, f, handBytes, 512)
			test.check(t, c)
			for off, n := range f.reads {
				if n > 1 {
					t.Errorf("the place %d was read %d times", off, n)
				}
			}
		})
	}
}

// A medium that gives nothing is left alone soon.
func TestDeadMedium(t *testing.T) {
	f := &faulty{nil, func(int64) bool { return true }, map[int64]int{}, 0}
	c, _ := lookAt(t, f, 1<<40, 512)
	if len(f.reads) > maxFailures {
		t.Errorf("%d reads, want at most %d", len(f.reads), maxFailures)
	}
	last := c.Volume.Unread[len(c.Volume.Unread)-1]
	if c.Volume.Signatures.Reason() == "" || c.MBR.Kind.Reason() == "" || c.GPT.Primary.Reason() == "" || last.Reason != errGivenUp.Error() {
		t.Errorf("contents %+v", c)
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	f := &faulty{make([]byte, handBytes), nil, map[int64]int{}, 0}
	c, err := Look(ctx, f, handBytes, 512).Withhold("a test")
	if err != nil || len(f.reads) > 0 || c.Volume.Signatures.Reason() != "not read: context canceled" {
		t.Errorf("%d reads, %+v, %v", len(f.reads), c.Volume, err)
	}
}

// A medium that ends before its size, and media of hardly any size.
func TestSmallMedia(t *testing.T) {
	for _, size := range []int64{0, 1, 8, 511, 512, 513, 1024, 4095, 4096, 4097, 65536, 131072, 524288} {
		c, _ := lookAt(t, bytes.NewReader(make([]byte, size)), size, 512)
		if kind, _ := c.MBR.Kind.Get(); kind != record.MBRNone || len(names(c.Volume)) != 0 || len(c.Volume.Unread) != 0 {
			t.Errorf("%d bytes: %+v", size, c)
		}
	}
	c, _ := lookAt(t, bytes.NewReader(make([]byte, 10000)), handBytes, 512)
	if c.Volume.Signatures.Reason() != io.ErrUnexpectedEOF.Error() {
		t.Errorf("a medium that ends early: %+v", c.Volume)
	}
	if c, _ = lookAt(t, bytes.NewReader(nil), -5, 512); len(c.Volume.Unread) != 0 {
		t.Errorf("a negative size: %+v", c.Volume)
	}
}

func TestPossiblyEncrypted(t *testing.T) {
	random := make([]byte, handBytes)
	rand2.NewChaCha8([32]byte{7}).Read(random) //nolint:errcheck // never fails
	textual := []byte(strings.Repeat("the quick brown fox jumps over the lazy dog. ", handBytes/45+1)[:handBytes])
	half := bytes.Clone(random)
	clear(half[:handBytes/2])
	for name, test := range map[string]struct {
		b    []byte
		want bool
	}{"random": {random, true}, "zeros": {make([]byte, handBytes), false}, "text": {textual, false}, "half": {half, false}} {
		c, _ := lookAt(t, bytes.NewReader(test.b), handBytes, 512)
		if got, known := c.Volume.PossiblyEncrypted.Get(); got != test.want || !known {
			t.Errorf("%s: possibly encrypted %t, %t (%s); want %t", name, got, known, c.Volume.PossiblyEncrypted.Reason(), test.want)
		}
	}
	// In a partition, and not in the whole medium around it.
	mbrWith(random, [3]uint32{0x83, 2048, 2048})
	for i := range 446 {
		random[i] = 0
	}
	for i := 446; i < 510; i += 16 {
		random[i] = 0
		if i > 446 {
			clear(random[i : i+16])
		}
	}
	c, _ := lookAt(t, bytes.NewReader(random), handBytes, 512)
	if len(c.Partitions) != 1 {
		t.Fatalf("%d partitions, MBR %+v", len(c.Partitions), c.MBR)
	}
	if got, _ := c.Partitions[0].Volume.PossiblyEncrypted.Get(); !got {
		t.Errorf("the partition: %v", c.Partitions[0].Volume)
	}
	if _, known := c.Volume.PossiblyEncrypted.Get(); known {
		t.Errorf("the medium with a partition was judged: %v", c.Volume.PossiblyEncrypted)
	}
	// Known signatures come before every guess.
	put(random, 1<<20, "LUKS\xba\xbe\x00\x01")
	c, _ = lookAt(t, bytes.NewReader(random), handBytes, 512)
	if got := names(c.Partitions[0].Volume); len(got) != 1 || got[0] != "luks1" {
		t.Errorf("recognised %q", got)
	}
	if _, known := c.Partitions[0].Volume.PossiblyEncrypted.Get(); known {
		t.Error("a volume that is recognised was judged")
	}
}

// A label is the medium's: it never reaches the record but as a commitment, nor a screen with what would forge a line.
func TestLabels(t *testing.T) {
	b := make([]byte, handBytes)
	handMade["ufs2"].make(b)
	put(b, 64<<10+680, "M. Uster\x1b[2J\n\xff\u202e\x00rest")
	f := Look(context.Background(), bytes.NewReader(b), handBytes, 512)
	if len(f.Labels) != 1 || f.Labels[0].Pointer != "/volume/signatures/0/label" || f.Labels[0].Text != `M. Uster\x1b[2J\x0a\xff\xe2\x80\xae` {
		t.Fatalf("labels %q", f.Labels)
	}
	if _, err := record.EncodeJSON(f.contents); err == nil {
		t.Error("the contents could be encoded before anything became of their label")
	}
	var openings record.Openings
	c, err := f.Commit(rand.Reader, &openings, "/acquisition/contents")
	if err != nil {
		t.Fatal(err)
	}
	if text, ok := openings.Value("/acquisition/contents/volume/signatures/0/label"); !ok || text != f.Labels[0].Text {
		t.Errorf("the opening holds %q", text)
	}
	out, err := record.EncodeJSON(map[string]any{"predicate": map[string]any{"acquisition": map[string]any{"contents": c}}})
	if err != nil || bytes.Contains(out, []byte("Uster")) {
		t.Errorf("encoded %s (%v)", out, err)
	}
	if closed, err := openings.Check(out); err != nil || closed != 0 {
		t.Errorf("the openings do not fit: %v, %d closed", err, closed)
	}
	if _, err := Look(context.Background(), bytes.NewReader(b), handBytes, 512).Commit(failing{}, &openings, ""); err == nil {
		t.Error("a commitment without randomness")
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("no randomness") }

// A medium of 256 partitions, each with nothing in it, costs what the package says.
func TestReadsAreBounded(t *testing.T) {
	b := gptMedium(512)
	h, entries := b[512:][:92], b[1024:][:128*128]
	for i := range 128 {
		copy(entries[128*i:], entries[:128])
		entries[128*i+16] = byte(i)
		entries[128*i+40] = 0xff
		entries[128*i+41] = 0x1f
	}
	seal(h, entries)
	f := &faulty{b, nil, map[int64]int{}, 0}
	c, _ := lookAt(t, f, handBytes, 512)
	if len(c.Partitions) != 128 || f.bytes > handBytes {
		t.Errorf("%d partitions; %d bytes were read of a medium of %d", len(c.Partitions), f.bytes, handBytes)
	}
}

// FuzzLook changes bytes of media with tables and signatures. Whatever is found is valid, the same twice, and can be encoded.
func FuzzLook(f *testing.F) {
	f.Add(0, []byte{1}, 512, []byte("x"))
	f.Add(1, []byte("EFI PART"), 4096, []byte{0xff, 0xff})
	f.Add(2, []byte("LUKS\xba\xbe\x00\x02"), 16384, []byte("SKUL\xba\xbe\x00\x02"))
	f.Add(3, []byte("\x55\xaa"), 510, []byte{5})
	bases := [][]byte{gptMedium(512), gptMedium(4096), make([]byte, 1<<20), make([]byte, handBytes)}
	mbrWith(bases[2], [3]uint32{5, 100, 1000}, [3]uint32{7, 10, 10})
	mbrWith(bases[2][100*512:], [3]uint32{0x83, 1, 10}, [3]uint32{5, 50, 20})
	for _, name := range slices.Sorted(maps.Keys(handMade)) { // they overlap, each time in the same way
		handMade[name].make(bases[3])
	}
	f.Fuzz(func(t *testing.T, base int, first []byte, at int, second []byte) {
		b := bytes.Clone(bases[uint(base)%uint(len(bases))])
		place := int(uint(at) % uint(len(b)))
		copy(b[place:], second)
		copy(b[place/2:], first)
		one, labels := lookAt(t, bytes.NewReader(b), int64(len(b)), 512)
		text, err := record.EncodeJSON(one)
		if err != nil {
			t.Fatal(err)
		}
		two, _ := lookAt(t, bytes.NewReader(b), int64(len(b)), 512)
		if again, err := record.EncodeJSON(two); err != nil || !bytes.Equal(text, again) {
			t.Fatalf("looked at twice: %s and %s (%v)", text, again, err)
		}
		var decoded record.Contents
		if err := record.DecodeJSON(text, &decoded); err != nil || decoded.Validate() != nil {
			t.Fatalf("%s: %v, %v", text, err, decoded.Validate())
		}
		for p, l := range labels {
			if l == "" || strings.IndexFunc(l, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 {
				t.Fatalf("label %s is %q", p, l)
			}
		}
	})
}
