package contents

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// mbrWith writes a record with its entries: kind, start and size in sectors.
func mbrWith(b []byte, entries ...[3]uint32) {
	for i, e := range entries {
		at := 446 + 16*i
		b[at+4] = byte(e[0])
		binary.LittleEndian.PutUint32(b[at+8:], e[1])
		binary.LittleEndian.PutUint32(b[at+12:], e[2])
	}
	put(b, 510, "\x55\xaa")
}

func TestHostileMBR(t *testing.T) {
	t.Parallel()
	sector := func(b []byte, n int) []byte { return b[n*512:] }
	for name, test := range map[string]struct {
		make       func([]byte)
		kind       string
		partitions []int64 // indexes
		problem    string
	}{
		"nothing": {func([]byte) {}, record.MBRNone, nil, ""},
		"text with the signature": {func(b []byte) { put(b, 0, strings.Repeat("text", 127)); put(b, 510, "\x55\xaa") },
			record.MBRNone, nil, ""},
		"an empty record": {func(b []byte) { mbrWith(b); put(b, 440, "\x01\x02\x03\x04") }, record.MBRPlain, nil, ""},
		"a chain that bites its tail": {func(b []byte) {
			mbrWith(b, [3]uint32{5, 100, 1000})
			mbrWith(sector(b, 100), [3]uint32{0x83, 1, 10}, [3]uint32{5, 50, 20})
			mbrWith(sector(b, 150), [3]uint32{0x83, 1, 10}, [3]uint32{5, 0, 20})
		}, record.MBRPlain, []int64{1, 5, 6}, "comes back to sector 100"},
		"a chain to itself": {func(b []byte) {
			mbrWith(b, [3]uint32{0xf, 100, 1000})
			mbrWith(sector(b, 100), [3]uint32{0, 0, 0}, [3]uint32{5, 0, 20})
		}, record.MBRPlain, []int64{1}, "comes back to sector 100"},
		"a long chain": {func(b []byte) {
			mbrWith(b, [3]uint32{0x85, 100, 8000})
			for i := range 200 {
				mbrWith(sector(b, 100+i), [3]uint32{0x83, 1, 1}, [3]uint32{5, uint32(i + 1), 2})
			}
		}, record.MBRPlain, upTo(4, 132), "more than 128 records"},
		"a chain into nowhere": {func(b []byte) {
			mbrWith(b, [3]uint32{5, 100, 1000})
			mbrWith(sector(b, 100), [3]uint32{0x83, 1, 10}, [3]uint32{5, 0xfffffff0, 20})
		}, record.MBRPlain, []int64{1, 5}, "breaks off at sector 4294967380: beyond the end"},
		"a chain into zeros": {func(b []byte) {
			mbrWith(b, [3]uint32{5, 100, 1000})
			mbrWith(sector(b, 100), [3]uint32{0x83, 1, 10}, [3]uint32{5, 7, 20})
		}, record.MBRPlain, []int64{1, 5}, "breaks off at sector 107: there is no record"},
		"two extended ones": {func(b []byte) { mbrWith(b, [3]uint32{5, 100, 10}, [3]uint32{5, 200, 10}); mbrWith(sector(b, 100)) },
			record.MBRPlain, []int64{1, 2}, "partition 2 is a second extended one"},
		"beyond the end":  {func(b []byte) { mbrWith(b, [3]uint32{7, 0xffffffff, 0xffffffff}) }, record.MBRPlain, []int64{1}, "ends beyond the end"},
		"without sectors": {func(b []byte) { mbrWith(b, [3]uint32{7, 100, 0}) }, record.MBRPlain, []int64{1}, "has no sectors"},
		"protective":      {func(b []byte) { mbrWith(b, [3]uint32{0xee, 1, 100}) }, record.MBRProtective, nil, ""},
		"hybrid":          {func(b []byte) { mbrWith(b, [3]uint32{0xee, 1, 100}, [3]uint32{7, 200, 100}) }, record.MBRHybrid, []int64{2}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := make([]byte, handBytes)
			test.make(b)
			c, _ := lookAt(t, bytes.NewReader(b), handBytes, 512)
			kind, _ := c.MBR.Kind.Get()
			var got []int64
			for _, p := range c.Partitions {
				got = append(got, p.Index)
			}
			if kind != test.kind || len(got) != len(test.partitions) || len(test.partitions) < 10 && !slices.Equal(got, test.partitions) {
				t.Errorf("kind %q, partitions %d; want %q, %d", kind, got, test.kind, test.partitions)
			}
			if all := strings.Join(c.MBR.Problems, "\n"); !strings.Contains(all, test.problem) || (test.problem == "") != (all == "") {
				t.Errorf("problems %q, want %q", all, test.problem)
			}
		})
	}
}

// upTo are the numbers 1 and those from 5 on, as of one extended partition with logical ones.
func upTo(first, last int64) []int64 {
	out := []int64{1}
	for i := first + 1; i <= last; i++ {
		out = append(out, i)
	}
	return out
}

// gptMedium is a medium with a GPT of two partitions, in sectors of that size.
func gptMedium(unit int) []byte {
	b := make([]byte, handBytes)
	entries := make([]byte, 128*128)
	entry := func(i int, first, last uint64, name string) {
		e := entries[128*i:]
		put(e, 0, unhex("af3dc60f 838472478e793d69d8477de4"))
		put(e, 16, unhex(fmt.Sprintf("%032x", i+1)))
		binary.LittleEndian.PutUint64(e[32:], first)
		binary.LittleEndian.PutUint64(e[40:], last)
		for j, c := range name {
			e[56+2*j] = byte(c)
		}
	}
	sectors := uint64(len(b) / unit)
	entry(0, 40, 49, "one")
	entry(3, 50, sectors-40, "four")
	header := func(at, other, entriesAt uint64) {
		copy(b[int(entriesAt)*unit:], entries)
		h := b[int(at)*unit:][:92]
		put(h, 0, "EFI PART\x00\x00\x01\x00\x5c\x00\x00\x00")
		for off, n := range map[int]uint64{24: at, 32: other, 40: 40, 48: sectors - 40, 72: entriesAt} {
			binary.LittleEndian.PutUint64(h[off:], n)
		}
		put(h, 56, unhex(handUUID))
		binary.LittleEndian.PutUint32(h[80:], 128)
		binary.LittleEndian.PutUint32(h[84:], 128)
		seal(h, entries)
	}
	header(1, sectors-1, 2)
	header(sectors-1, 1, sectors-33)
	mbrWith(b, [3]uint32{0xee, 1, uint32(sectors - 1)})
	return b
}

// seal computes the checksums of a header.
func seal(h, entries []byte) {
	binary.LittleEndian.PutUint32(h[88:], crc32.ChecksumIEEE(entries))
	clear(h[16:20])
	binary.LittleEndian.PutUint32(h[16:], crc32.ChecksumIEEE(h[:92]))
}

func TestHostileGPT(t *testing.T) {
	t.Parallel()
	const last = handBytes/512 - 1
	const entries = 128 * 128
	primary := func(b []byte) []byte { return b[512:][:92] }
	change := func(at int, text string) func([]byte) []byte { // of the primary header, which stays sealed
		return func(b []byte) []byte { put(primary(b), at, text); seal(primary(b), b[1024:][:entries]); return b }
	}
	for name, test := range map[string]struct {
		change               func([]byte) []byte
		primary, backup, use string
		partitions           int
		problem              string
	}{
		"sound":            {func(b []byte) []byte { return b }, "sound", "sound", "primary", 2, ""},
		"a bit of header":  {func(b []byte) []byte { b[512+60] ^= 1; return b }, "damaged", "sound", "backup", 2, "primary copy: the checksum of the header"},
		"a bit of entries": {func(b []byte) []byte { b[1024+300] ^= 1; return b }, "damaged", "sound", "backup", 2, "primary copy: the checksum of its entries"},
		"no primary":       {func(b []byte) []byte { clear(b[512:1024]); return b }, "absent", "sound", "backup", 2, ""},
		"no backup":        {func(b []byte) []byte { clear(b[last*512:]); return b }, "sound", "absent", "primary", 2, ""},
		"backup damaged":   {func(b []byte) []byte { b[last*512+70] ^= 1; return b }, "sound", "damaged", "primary", 2, "backup copy: the checksum"},
		"both damaged":     {func(b []byte) []byte { b[last*512+70] ^= 1; b[512+70] ^= 1; return b }, "damaged", "damaged", "none", 0, "backup copy"},
		"both gone":        {func(b []byte) []byte { clear(b[last*512:]); clear(b[512:1024]); return b }, "absent", "absent", "none", 0, ""},
		"enlarged disk":    {func(b []byte) []byte { return append(b, make([]byte, 1<<20)...) }, "sound", "sound", "primary", 2, "the backup copy should lie at sector 8191, and the last one of the medium is 10239"},
		"cut off disk":     {func(b []byte) []byte { return b[:3<<20] }, "sound", "absent", "primary", 2, "partition 4 ends beyond the end"},
		"another GUID":     {change(56, "\x01"), "sound", "sound", "primary", 2, "the copies differ: disk GUID"},
		"another range":    {change(40, "\x22"), "sound", "sound", "primary", 2, "the copies differ: usable sectors"},
		"another entry": {func(b []byte) []byte { b[1024+3*128+56] = 'F'; seal(primary(b), b[1024:][:entries]); return b },
			"sound", "sound", "primary", 2, "the copies differ: entry 4"},
		"backwards": {func(b []byte) []byte { b[1024+40] = 3; seal(primary(b), b[1024:][:entries]); return b },
			"sound", "sound", "primary", 1, "partition 1: sectors 40 to 3, which cannot be"},
		"beyond all numbers": {func(b []byte) []byte {
			put(b, 1024+40, strings.Repeat("\xff", 8))
			seal(primary(b), b[1024:][:entries])
			return b
		},
			"sound", "sound", "primary", 1, "partition 1: sectors 40 to 18446744073709551615"},
		"other revision":      {change(8, "\x01"), "damaged", "sound", "backup", 2, "is of revision"},
		"header too large":    {change(12, "\xff\xff"), "damaged", "sound", "backup", 2, "gives its size as 65535"},
		"header too small":    {change(12, "\x08"), "damaged", "sound", "backup", 2, "gives its size as 8"},
		"lies elsewhere":      {change(24, "\x07"), "damaged", "sound", "backup", 2, "says that it lies at sector 7"},
		"entries beyond":      {change(72, "\x00\x00\xff"), "damaged", "sound", "backup", 2, "entries lie at sector"},
		"entries at the end":  {change(72, "\xff\x1f"), "damaged", "sound", "backup", 2, "its entries lie beyond the end"},
		"no entries":          {change(80, "\x00"), "damaged", "sound", "backup", 2, "0 entries of 128"},
		"too many entries":    {change(80, "\xff\xff\xff\xff"), "damaged", "sound", "backup", 2, "4294967295 entries"},
		"entries of one byte": {change(84, "\x01"), "damaged", "sound", "backup", 2, "128 entries of 1 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			b := test.change(gptMedium(512))
			c, _ := lookAt(t, bytes.NewReader(b), int64(len(b)), 512)
			p, _ := c.GPT.Primary.Get()
			q, _ := c.GPT.Backup.Get()
			if p != test.primary || q != test.backup || c.GPT.Use != test.use || len(c.Partitions) != test.partitions {
				t.Errorf("primary %q, backup %q, %q used, %d partitions; want %q, %q, %q, %d\n%q", p, q, c.GPT.Use, len(c.Partitions),
					test.primary, test.backup, test.use, test.partitions, c.GPT.Problems)
			}
			if all := strings.Join(c.GPT.Problems, "\n"); !strings.Contains(all, test.problem) || (test.problem == "") != (all == "") {
				t.Errorf("problems %q, want %q", all, test.problem)
			}
		})
	}
}

// A disk of 4096-byte sectors: as itself, and in a file or behind a bridge that says 512.
func TestGPTOf4KSectors(t *testing.T) {
	b := gptMedium(4096)
	for _, sector := range []int64{4096, 512, 0, -1, 3000} {
		c, labels := lookAt(t, bytes.NewReader(b), handBytes, sector)
		if unit, _ := c.GPT.SectorBytes.Get(); unit != 4096 || len(c.Partitions) != 2 || c.Partitions[0].StartBytes != 40*4096 || len(c.GPT.Problems) > 0 {
			t.Errorf("sectors of %d: GPT %+v, partitions %+v", sector, c.GPT, c.Partitions)
		}
		if labels["/partitions/1/label"] != "four" {
			t.Errorf("labels %q", labels)
		}
	}
}

func TestTooManyPartitions(t *testing.T) {
	b := gptMedium(512)
	h := b[512:][:92]
	entries := b[1<<20:][:1000*128]
	for i := range 1000 {
		put(entries[128*i:], 0, unhex("af3dc60f 838472478e793d69d8477de4")+unhex(fmt.Sprintf("%032x", i+1)))
		binary.LittleEndian.PutUint64(entries[128*i+32:], 40)
		binary.LittleEndian.PutUint64(entries[128*i+40:], 41)
	}
	put(h, 72, "\x00\x08\x00\x00\x00\x00\x00\x00\xe8\x03\x00\x00"[:8])
	binary.LittleEndian.PutUint32(h[80:], 1000)
	seal(h, entries)
	mbrWith(b, [3]uint32{0xee, 1, 100}, [3]uint32{7, 200, 100})
	c, _ := lookAt(t, bytes.NewReader(b), handBytes, 512)
	if len(c.Partitions) != record.MaxPartitions || !strings.Contains(strings.Join(c.GPT.Problems, "\n"), "more than 256 partitions: those from 257 on") ||
		!strings.Contains(strings.Join(c.MBR.Problems, "\n"), "too many partitions") {
		t.Errorf("%d partitions; problems %q and %q", len(c.Partitions), c.GPT.Problems, c.MBR.Problems)
	}
}

// Partitions of old begin at sector 63, which no page does.
func TestUnalignedPartition(t *testing.T) {
	b := make([]byte, handBytes)
	handMade["zfs"].make(b[63*512:])
	mbrWith(b, [3]uint32{0xa5, 63, 4096})
	c, _ := lookAt(t, bytes.NewReader(b), handBytes, 512)
	if len(c.Partitions) != 1 || !slices.Equal(names(c.Partitions[0].Volume), []string{"zfs"}) {
		t.Fatalf("partitions %+v", c.Partitions)
	}
	if s, _ := c.Partitions[0].Volume.Signatures.Get(); s[0].OffsetBytes != 256<<10 {
		t.Errorf("found at %d of the partition, want %d", s[0].OffsetBytes, 256<<10)
	}
}
