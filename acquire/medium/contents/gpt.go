package contents

import (
	"errors"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

const (
	// maxEntries bounds the entries of a GPT in bytes. The usual table has 16 KiB.
	maxEntries = 1 << 20
	// maxBytes is the largest number in a record.
	maxBytes = 1<<53 - 1
)

// partition is an entry of a table, with its label in the clear.
type partition struct {
	entry  record.Partition
	label  string
	holder string // why its bytes are those of other partitions, if they are
}

type gptTable struct {
	result     record.GPT
	partitions []partition
}

// gptCopy is one of the two copies.
type gptCopy struct {
	state   record.Fact[string]
	problem string // of a damaged one
	header  []byte // of a sound one
	entries []byte // of a sound one
	sector  int64  // where it lies, or should
}

// gpt reads both copies of the GUID partition table. They count in sectors of the drive that it was made on, which another
// bridge, or an image, may not have.
func (m *pages) gpt(sectorBytes int64) gptTable {
	units := slices.Compact([]int64{sectorBytes, 512, 4096})
	if sectorBytes == 4096 {
		units = units[:2]
	}
	var first *gptTable
	for _, unit := range units {
		t := m.gptOf(unit)
		if first == nil {
			first = &t
		}
		if _, found := t.result.SectorBytes.Get(); found {
			return t
		}
	}
	return *first
}

// gptOf reads both copies in sectors of that size; SectorBytes is unknown when there is no trace of any.
func (m *pages) gptOf(unit int64) gptTable {
	t := gptTable{result: record.GPT{Problems: []string{}}}
	r := &t.result
	last := m.bytes/unit - 1
	primary := m.gptCopy(1, unit)
	backup := gptCopy{state: record.Known(record.GPTAbsent)}
	if last > 1 {
		backup = m.gptCopy(last, unit)
	}
	if h := primary.header; h != nil {
		at := le64(h, 32)
		if end := uint64(max(last, 0)); at != end {
			t.problem("the backup copy should lie at sector %d, and the last one of the medium is %d", at, last)
			if backup.header == nil && at > 1 && at < end {
				backup = m.gptCopy(int64(at), unit)
			}
		}
	}
	r.Primary, r.Backup, r.Use = primary.state, backup.state, record.UseNone
	r.DiskGUID, r.SectorBytes = record.Unknown[string]("no sound copy"), record.Known(unit)
	if primary.problem != "" {
		t.problem("primary copy: %s", primary.problem)
	}
	if backup.problem != "" {
		t.problem("backup copy: %s", backup.problem)
	}
	use := primary
	switch {
	case primary.header != nil:
		r.Use = record.UsePrimary
	case backup.header != nil:
		r.Use, use = record.UseBackup, backup
	default:
		if primary.absent() && backup.absent() {
			r.SectorBytes = record.Unknown[int64]("no copy was found")
		}
		return t
	}
	r.DiskGUID = record.Known(guid(use.header[56:72]))
	if primary.header != nil && backup.header != nil {
		t.compare(primary, backup)
	}
	t.list(use, unit, m.bytes)
	return t
}

func (c *gptCopy) absent() bool {
	state, known := c.state.Get()
	return !known || state == record.GPTAbsent
}

func (t *gptTable) problem(format string, args ...any) {
	if len(t.result.Problems) < record.MaxProblems {
		t.result.Problems = append(t.result.Problems, fmt.Sprintf(format, args...))
	}
}

// gptCopy reads the copy whose header lies in that sector.
func (m *pages) gptCopy(sector, unit int64) gptCopy {
	c := gptCopy{sector: sector, state: record.Known(record.GPTAbsent)}
	if sector < 1 || sector > m.bytes/unit {
		return c
	}
	h, err := m.read(sector*unit, unit)
	if errors.Is(err, errOutside) {
		return c
	}
	if err != nil {
		c.state = record.Unknown[string](err.Error())
		return c
	}
	if string(h[:8]) != "EFI PART" {
		return c
	}
	if c.problem = checkHeader(h, sector, m.bytes/unit); c.problem == "" {
		entries, err := m.read(int64(le64(h, 72))*unit, int64(le32(h, 80)*le32(h, 84)))
		switch sum := uint64(crc32.ChecksumIEEE(entries)); {
		case errors.Is(err, errOutside):
			c.problem = "its entries lie beyond the end of the medium"
		case err != nil:
			c.state = record.Unknown[string]("its entries: " + err.Error())
			return c
		case sum != le32(h, 88):
			c.problem = fmt.Sprintf("the checksum of its entries is %08x, and the header says %08x", sum, le32(h, 88))
		default:
			c.state, c.header, c.entries = record.Known(record.GPTSound), h, entries
			return c
		}
	}
	c.state = record.Known(record.GPTDamaged)
	return c
}

// checkHeader returns the first thing wrong with a header, or nothing. sectors is the size of the medium.
func checkHeader(h []byte, sector, sectors int64) string {
	size := le32(h, 12)
	if size < 92 || size > uint64(len(h)) {
		return fmt.Sprintf("the header gives its size as %d bytes", size)
	}
	bare := slices.Clone(h[:size])
	copy(bare[16:20], make([]byte, 4))
	sum := uint64(crc32.ChecksumIEEE(bare))
	count, each, at := le32(h, 80), le32(h, 84), le64(h, 72)
	switch {
	case sum != le32(h, 16):
		return fmt.Sprintf("the checksum of the header is %08x, and it says %08x", sum, le32(h, 16))
	case le32(h, 8) != 1<<16:
		return fmt.Sprintf("the header is of revision %08x", le32(h, 8))
	case le64(h, 24) != uint64(sector):
		return fmt.Sprintf("the header says that it lies at sector %d, and lies at %d", le64(h, 24), sector)
	case count == 0 || each < 128 || each > 4096 || each&(each-1) != 0 || count > maxEntries/each:
		return fmt.Sprintf("the header says that there are %d entries of %d bytes", count, each)
	case at < 2 || at >= uint64(sectors):
		return fmt.Sprintf("the header says that the entries lie at sector %d of %d", at, sectors)
	}
	return ""
}

// compare says how two sound copies differ.
func (t *gptTable) compare(primary, backup gptCopy) {
	p, b := primary.header, backup.header
	if x, y := guid(p[56:72]), guid(b[56:72]); x != y {
		t.problem("the copies differ: disk GUID %s in the primary, %s in the backup", x, y)
	}
	if le64(p, 40) != le64(b, 40) || le64(p, 48) != le64(b, 48) {
		t.problem("the copies differ: usable sectors %d to %d in the primary, %d to %d in the backup", le64(p, 40), le64(p, 48), le64(b, 40), le64(b, 48))
	}
	if le32(p, 80) != le32(b, 80) || le32(p, 84) != le32(b, 84) {
		t.problem("the copies differ: %d entries of %d bytes in the primary, %d of %d in the backup", le32(p, 80), le32(p, 84), le32(b, 80), le32(b, 84))
		return
	}
	each := int(le32(p, 84))
	for i := 0; i*each < len(primary.entries); i++ {
		if string(primary.entries[i*each:][:each]) != string(backup.entries[i*each:][:each]) {
			t.problem("the copies differ: entry %d", i+1)
		}
	}
	if le64(b, 32) != uint64(primary.sector) {
		t.problem("the backup copy says that the primary lies at sector %d", le64(b, 32))
	}
}

// list takes up the partitions of a sound copy.
func (t *gptTable) list(c gptCopy, unit, bytes int64) {
	each := int(le32(c.header, 84))
	for i := 0; (i+1)*each <= len(c.entries); i++ {
		e := c.entries[i*each:][:each]
		if guid(e[:16]) == guid(make([]byte, 16)) {
			continue
		}
		first, last := le64(e, 32), le64(e, 40)
		if last < first || last >= uint64(maxBytes/unit) {
			t.problem("partition %d: sectors %d to %d, which cannot be", i+1, first, last)
			continue
		}
		if len(t.partitions) == record.MaxPartitions {
			t.problem("more than %d partitions: those from %d on are not listed", record.MaxPartitions, i+1)
			return
		}
		p := partition{label: text16(e[56:128]), entry: record.Partition{GUID: guid(e[16:32]), Index: int64(i) + 1, Table: record.TableGPT,
			Type: guid(e[:16]), StartBytes: int64(first) * unit, SizeBytes: int64(last-first+1) * unit}}
		if p.entry.StartBytes+p.entry.SizeBytes > bytes {
			t.problem("partition %d ends beyond the end of the medium", i+1)
		}
		t.partitions = append(t.partitions, p)
	}
}
