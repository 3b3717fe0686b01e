package restore_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/exhibit-forensics/exhibit/acquire/medium"
	"github.com/exhibit-forensics/exhibit/acquire/restore"
	"github.com/exhibit-forensics/exhibit/custody/record"
)

const mib = 1 << 20

// content is bytes of which no two sectors are alike.
func content(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		sum := sha256.Sum256(fmt.Appendf(nil, "block %d", i))
		b.Write(sum[:])
	}
	return b.Bytes()[:n]
}

// memory is a target, and an image, that fails as told.
type memory struct {
	b       []byte
	sector  int64
	stuck   map[int64]bool // sectors that cannot be written
	blind   map[int64]bool // that cannot be read
	forgets map[int64]bool // that take a write and keep what they had
	lostAt  int64          // a write that goes past it finds the target gone; 0: never
	syncErr error
	writes  int
}

func (m *memory) Size() int64        { return int64(len(m.b)) }
func (m *memory) SectorBytes() int64 { return m.sector }
func (m *memory) Sync() error        { return m.syncErr }

func (m *memory) touched(in map[int64]bool, off, n int64) bool {
	for s := off / m.sector; s*m.sector < off+n; s++ {
		if in[s] {
			return true
		}
	}
	return false
}

func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	n := int64(len(p))
	if off%m.sector != 0 || n%m.sector != 0 || off+n > m.Size() {
		return 0, medium.ErrAlignment
	}
	if m.touched(m.blind, off, n) {
		return 0, &medium.ReadError{Path: "m", Offset: off, SizeBytes: n, Err: syscall.EIO}
	}
	return copy(p, m.b[off:]), nil
}

func (m *memory) WriteAt(p []byte, off int64) error {
	n := int64(len(p))
	m.writes++
	switch {
	case off%m.sector != 0 || n%m.sector != 0 || off+n > m.Size():
		return medium.ErrAlignment
	case m.lostAt > 0 && off+n > m.lostAt:
		return fmt.Errorf("write: %w", medium.ErrLost)
	case m.touched(m.stuck, off, n):
		return &medium.WriteError{Path: "m", Offset: off, SizeBytes: n, Err: syscall.EIO}
	}
	for i := int64(0); i < n; i += m.sector {
		if !m.forgets[(off+i)/m.sector] {
			copy(m.b[off+i:off+i+m.sector], p[i:])
		}
	}
	return nil
}

func blank(size, sector int) *memory {
	return &memory{b: bytes.Repeat([]byte{0xee}, size), sector: int64(sector)}
}

func digests(b []byte) []record.Digest { return []record.Digest{record.SHA256Digest(sha256.Sum256(b))} }

func run(t *testing.T, img []byte, to restore.Target, opts restore.Options) (restore.Result, error) {
	t.Helper()
	plan, err := restore.NewPlan(int64(len(img)), to.Size(), opts)
	if err != nil {
		t.Fatal(err)
	}
	return restore.Run(t.Context(), bytes.NewReader(img), to, plan, nil, nil)
}

func TestPlan(t *testing.T) {
	for name, c := range map[string]struct {
		image, target int64
		opts          restore.Options
		want          restore.Plan
		err           error
	}{
		"same size": {100, 100, restore.Options{}, restore.Plan{Image: 100, Part: restore.Range{SizeBytes: 100}}, nil},
		"larger":    {100, 130, restore.Options{}, restore.Plan{Image: 100, Part: restore.Range{SizeBytes: 100}, Excess: 30}, nil},
		"filled": {100, 130, restore.Options{FillExcess: true},
			restore.Plan{Image: 100, Part: restore.Range{SizeBytes: 100}, Fill: restore.Range{Offset: 100, SizeBytes: 30}}, nil},
		"nothing to fill": {100, 100, restore.Options{FillExcess: true}, restore.Plan{Image: 100, Part: restore.Range{SizeBytes: 100}}, nil},
		"empty":           {0, 10, restore.Options{}, restore.Plan{Excess: 10}, nil},
		"smaller":         {100, 99, restore.Options{}, restore.Plan{}, restore.ErrTooSmall},
		"cut":             {100, 60, restore.Options{Truncate: true}, restore.Plan{Image: 100, Part: restore.Range{SizeBytes: 60}, Truncated: 40}, nil},
		"cut to nothing":  {100, 0, restore.Options{Truncate: true}, restore.Plan{}, restore.ErrTooSmall},
		"part": {100, 100, restore.Options{Part: restore.Range{Offset: 20, SizeBytes: 30}},
			restore.Plan{Image: 100, Part: restore.Range{Offset: 20, SizeBytes: 30}, At: 20, Excess: 50}, nil},
		"part at the start": {100, 30, restore.Options{Part: restore.Range{Offset: 20, SizeBytes: 30}, AtStart: true},
			restore.Plan{Image: 100, Part: restore.Range{Offset: 20, SizeBytes: 30}}, nil},
		"part without room":    {100, 30, restore.Options{Part: restore.Range{Offset: 20, SizeBytes: 30}}, restore.Plan{}, restore.ErrTooSmall},
		"part behind it":       {100, 20, restore.Options{Part: restore.Range{Offset: 20, SizeBytes: 30}, Truncate: true}, restore.Plan{}, restore.ErrTooSmall},
		"part past the end":    {100, 200, restore.Options{Part: restore.Range{Offset: 90, SizeBytes: 11}}, restore.Plan{}, restore.ErrRange},
		"part that overflows":  {100, 200, restore.Options{Part: restore.Range{Offset: 1, SizeBytes: 1<<63 - 1}}, restore.Plan{}, restore.ErrRange},
		"part before it":       {100, 200, restore.Options{Part: restore.Range{Offset: -1, SizeBytes: 5}}, restore.Plan{}, restore.ErrRange},
		"empty part":           {100, 200, restore.Options{Part: restore.Range{Offset: 5}}, restore.Plan{}, restore.ErrRange},
		"part that is filled":  {100, 200, restore.Options{Part: restore.Range{Offset: 5, SizeBytes: 5}, FillExcess: true}, restore.Plan{}, restore.ErrRange},
		"an impossible image":  {-1, 200, restore.Options{}, restore.Plan{}, restore.ErrRange},
		"an impossible target": {1, 1 << 62, restore.Options{}, restore.Plan{}, restore.ErrRange},
	} {
		got, err := restore.NewPlan(c.image, c.target, c.opts)
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: got %+v, %v, want %+v, %v", name, got, err, c.want, c.err)
		}
	}
}

// Whatever the sizes, what the plan names is the image's, and every other byte is what it was.
func TestBytes(t *testing.T) {
	img := content(2*mib + 3*512 + 77)
	for _, sector := range []int{1, 512, 4096} {
		for name, opts := range map[string]restore.Options{
			"whole": {}, "filled": {FillExcess: true}, "part": {Part: restore.Range{Offset: 1000, SizeBytes: mib + 1}},
			"crumb": {Part: restore.Range{Offset: 4097, SizeBytes: 9}}, "at the start": {Part: restore.Range{Offset: mib - 3, SizeBytes: mib + 70}, AtStart: true},
			"sectors": {Part: restore.Range{Offset: 512, SizeBytes: 512}},
		} {
			to := blank(3*mib, sector)
			want := slices.Clone(to.b)
			plan, err := restore.NewPlan(int64(len(img)), to.Size(), opts)
			if err != nil {
				t.Fatal(err)
			}
			copy(want[plan.At:], img[plan.Part.Offset:plan.Part.End()])
			clear(want[plan.Fill.Offset:plan.Fill.End()])
			got, err := restore.Run(t.Context(), bytes.NewReader(img), to, plan, nil, nil)
			if err != nil || !got.Whole() || !bytes.Equal(to.b, want) {
				t.Errorf("%s, sectors of %d: %+v, %v, the target is as expected: %t", name, sector, got, err, bytes.Equal(to.b, want))
			}
			if sum := digests(img[plan.Part.Offset:plan.Part.End()])[0]; !slices.Contains(got.Digests, sum) {
				t.Errorf("%s: digests %v, want %v among them", name, got.Digests, sum)
			}
		}
	}
}

// A target that is too small gets the beginning, if that is allowed, and it is not called whole.
func TestTruncated(t *testing.T) {
	img, to := content(mib+512), blank(mib, 512)
	got, err := run(t, img, to, restore.Options{Truncate: true})
	if err != nil || got.Whole() || !got.Written() || got.Truncated != 512 || !bytes.Equal(to.b, img[:mib]) {
		t.Errorf("%+v, %v", got, err)
	}
}

// What is not taken is listed to the sector, and all else is written.
func TestWriteErrors(t *testing.T) {
	img, to := content(3*mib), blank(3*mib, 512)
	to.stuck = map[int64]bool{0: true, 2047: true, 2048: true, 5000: true, 6143: true}
	want := []restore.Range{{SizeBytes: 512}, {Offset: 2047 * 512, SizeBytes: 1024}, {Offset: 5000 * 512, SizeBytes: 512}, {Offset: 6143 * 512, SizeBytes: 512}}
	got, err := run(t, img, to, restore.Options{})
	if err != nil || !slices.Equal(got.Unwritten, want) || !slices.Equal(got.Differing, want) || got.Written() || !got.Finished || len(got.Digests) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	for s := range int64(6144) {
		if same := bytes.Equal(to.b[s*512:(s+1)*512], img[s*512:(s+1)*512]); same == to.stuck[s] {
			t.Errorf("sector %d is written: %t", s, same)
		}
	}
}

// What was taken and is not there, or cannot be read, is found by reading back.
func TestReadBack(t *testing.T) {
	img, to := content(2*mib), blank(2*mib, 4096)
	to.forgets, to.blind = map[int64]bool{3: true, 300: true}, map[int64]bool{100: true}
	want := []restore.Range{{Offset: 3 * 4096, SizeBytes: 4096}, {Offset: 100 * 4096, SizeBytes: 4096}, {Offset: 300 * 4096, SizeBytes: 4096}}
	got, err := run(t, img, to, restore.Options{})
	if err != nil || len(got.Unwritten) != 0 || !slices.Equal(got.Differing, want) || got.Written() || got.Digests != nil {
		t.Errorf("%+v, %v", got, err)
	}
	// A sector of which a part is to be kept, and cannot be read, is not written at all.
	to = blank(mib, 4096)
	to.blind = map[int64]bool{2: true}
	got, err = run(t, img[:2*4096+10], to, restore.Options{})
	if err != nil || !slices.Equal(got.Unwritten, []restore.Range{{Offset: 2 * 4096, SizeBytes: 4096}}) || got.Written() || to.b[2*4096] != 0xee {
		t.Errorf("%+v, %v", got, err)
	}
}

// A restore that cannot go on says so, and nothing of it is called written.
func TestGivenUp(t *testing.T) {
	img := content(20 * mib)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	all := map[int64]bool{}
	for s := range int64(40 * 1024) {
		all[s] = true
	}
	second := map[int64]bool{}
	for s := int64(0); s < 40*1024; s += 2 {
		second[s] = true
	}
	for name, c := range map[string]struct {
		ctx  context.Context
		fail func(*memory)
		want error
	}{
		"interrupted":  {cancelled, func(*memory) {}, context.Canceled},
		"lost":         {t.Context(), func(m *memory) { m.lostAt = 7 * mib }, medium.ErrLost},
		"sync":         {t.Context(), func(m *memory) { m.syncErr = syscall.EIO }, syscall.EIO},
		"all stuck":    {t.Context(), func(m *memory) { m.stuck = all }, restore.ErrTooManyErrors},
		"second stuck": {t.Context(), func(m *memory) { m.stuck = second }, restore.ErrTooManyErrors},
		"all blind":    {t.Context(), func(m *memory) { m.blind = all }, restore.ErrTooManyErrors},
	} {
		to := blank(len(img), 512)
		c.fail(to)
		plan, err := restore.NewPlan(int64(len(img)), to.Size(), restore.Options{})
		if err != nil {
			t.Fatal(err)
		}
		got, err := restore.Run(c.ctx, bytes.NewReader(img), to, plan, nil, nil)
		if !errors.Is(err, c.want) || got.Written() || got.Whole() || got.Finished {
			t.Errorf("%s: finished %t, %v, want %v", name, got.Finished, err, c.want)
		}
	}
}

// An image that gives other bytes than the record says is no success, however well they were written.
func TestImageChanged(t *testing.T) {
	img := content(mib + 5)
	plan, err := restore.NewPlan(int64(len(img)), mib+512, restore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = restore.Run(t.Context(), bytes.NewReader(img), blank(mib+512, 512), plan, digests(img[1:]), nil)
	if !errors.Is(err, restore.ErrImageChanged) {
		t.Errorf("other bytes: %v", err)
	}
	_, err = restore.Run(t.Context(), bytes.NewReader(img[1:]), blank(mib+512, 512), plan, nil, nil)
	if !errors.Is(err, restore.ErrImageChanged) {
		t.Errorf("fewer bytes: %v", err)
	}
	short := struct {
		io.ReaderAt
		sizer
	}{bytes.NewReader(img[:mib]), sizer(len(img))}
	got, err := restore.Run(t.Context(), short, blank(mib+512, 512), plan, nil, nil)
	if err == nil || got.Written() {
		t.Errorf("an image that ends early: %v", err)
	}
	if _, err = restore.Run(t.Context(), bytes.NewReader(img), blank(512, 512), plan, nil, nil); !errors.Is(err, restore.ErrTooSmall) {
		t.Errorf("another target than that of the plan: %v", err)
	}
}

type sizer int64

func (s sizer) Size() int64 { return int64(s) }

func known(s string) record.Fact[string] { return record.Known(s) }

// A drive that was evidence is known by any of its numbers; one in the same dock as another is not.
func TestCheckSources(t *testing.T) {
	disk := record.UnknownHardware("test")
	disk.Serial, disk.WWN = known("WD-123"), known("50014ee2b1a2b3c4")
	nvme := record.UnknownHardware("test")
	nvme.EUI64, nvme.NGUID = known("0025385b91b0a1b2"), known("00000000000000100025385b91b0a1b2")
	docked := record.UnknownHardware("test")
	usb := record.USB{Serial: known("DOCK")}
	docked.Serial, docked.USB = known("WD-777"), record.Known(usb)
	stick := record.UnknownHardware("test")
	stick.USB = record.Known(record.USB{Serial: known("STICK")})
	media := []record.Medium{{Hardware: record.Unknown[record.Hardware]("a file")}}
	for _, h := range []record.Hardware{disk, nvme, docked, stick} {
		media = append(media, record.Medium{Hardware: record.Known(h)})
	}
	for name, c := range map[string]struct {
		id   medium.Identity
		same bool
	}{
		"nothing known":             {medium.Identity{Path: "/dev/loop0"}, false},
		"another":                   {medium.Identity{Serials: []string{"WD-124"}, WWNs: []string{"naa.50014ee2b1a2b3c5"}}, false},
		"serial":                    {medium.Identity{Serials: []string{"X", "WD-123"}}, true},
		"serial in small letters":   {medium.Identity{Serials: []string{"wd-123"}}, true},
		"serial by way of a bridge": {medium.Identity{Asked: "WD-123", USBSerial: "OTHER"}, true},
		"serial as a bridge's":      {medium.Identity{USBSerial: "WD-123"}, true},
		"WWN":                       {medium.Identity{WWNs: []string{"naa.50014EE2B1A2B3C4"}}, true},
		"EUI-64":                    {medium.Identity{WWNs: []string{"eui.0025385b91b0a1b2"}}, true},
		"NGUID":                     {medium.Identity{WWNs: []string{"00000000-0000-0010-0025-385b91b0a1b2"}}, true},
		"stick":                     {medium.Identity{USBSerial: "STICK", Serials: []string{"0001"}}, true},
		"dock":                      {medium.Identity{USBSerial: "DOCK"}, true},
		"dock, the kernel's word":   {medium.Identity{USBSerial: "DOCK", Serials: []string{"WD-888"}}, true},
		"dock, another disk":        {medium.Identity{USBSerial: "DOCK", Asked: "WD-888", Serials: []string{"WD-888"}}, false},
		"dock, the same disk":       {medium.Identity{USBSerial: "DOCK", Asked: "WD-777"}, true},
		"dock, its own number":      {medium.Identity{USBSerial: "DOCK", Asked: "DOCK"}, true},
	} {
		for _, drives := range [][]medium.Identity{{c.id}, {{Path: "/dev/dm-0"}, c.id}} {
			if err := restore.CheckSources(drives, media); errors.Is(err, restore.ErrSourceDrive) != c.same || (err != nil) != c.same {
				t.Errorf("%s: %v, want it refused: %t", name, err, c.same)
			}
		}
	}
}

// A file appears under its name when it is whole, and never in the place of another.
func TestFile(t *testing.T) {
	img := content(mib + 77)
	path := filepath.Join(t.TempDir(), "copy.raw")
	f, err := restore.CreateFile(path, int64(len(img)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := run(t, img, f, restore.Options{})
	if err != nil || !got.Whole() {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("before it is finished: %v", err)
	}
	if err := f.Finish(); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, img) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if _, err := restore.CreateFile(path, 1); !errors.Is(err, os.ErrExist) {
		t.Errorf("a second one: %v", err)
	}
	other := filepath.Join(t.TempDir(), "other")
	if f, err = restore.CreateFile(other, 5); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.WriteAt([]byte("12"), 0), f.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(other + ".partial"); err != nil {
		t.Errorf("what was begun: %v", err)
	}
	if _, err := restore.CreateFile(other, 5); !errors.Is(err, os.ErrExist) {
		t.Errorf("beside one that was begun: %v", err)
	}
}
