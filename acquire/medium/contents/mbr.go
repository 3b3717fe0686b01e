package contents

import (
	"errors"
	"fmt"
	"slices"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// maxChain bounds the chain of extended partitions.
const maxChain = 128

const typeProtective = 0xee

var extendedTypes = []byte{0x05, 0x0f, 0x85}

type mbrTable struct {
	result     record.MBR
	partitions []partition
	most       int // partitions that may be listed
	unit       int64
	m          *pages
}

// mbrEntry is one of the four entries of a record.
type mbrEntry struct {
	kind        byte
	start, size int64 // sectors
}

// mbr reads the master boot record, and the chain of its extended partition.
func (m *pages) mbr(unit int64, whole *volume, most int) mbrTable {
	t := mbrTable{m: m, unit: unit, most: most, result: record.MBR{Problems: []string{}}}
	kind := func(k string) mbrTable { t.result.Kind = record.Known(k); return t }
	t.result.DiskSignature = record.Unknown[string]("there is no master boot record")
	b, err := m.read(0, 512)
	if errors.Is(err, errOutside) {
		return kind(record.MBRNone)
	}
	if err != nil {
		t.result.Kind, t.result.DiskSignature = record.Unknown[string](err.Error()), record.Unknown[string](err.Error())
		return t
	}
	entries, ok := mbrEntries(b)
	if !ok || entries == [4]mbrEntry{} && le32(b, 440) == 0 {
		return kind(record.MBRNone)
	}
	if whole.boots() {
		if !t.plausible(entries) {
			return kind(record.MBRNone)
		}
		t.problem("the first sector is also the boot sector of a volume: one of the two may be a remnant")
	}
	t.result.DiskSignature = record.Known(fmt.Sprintf("%08x", le32(b, 440)))
	protects, others := false, false
	chain := int64(0)
	for i, e := range entries {
		switch e.kind {
		case 0:
		case typeProtective:
			protects = true
		default:
			others = true
			extended := slices.Contains(extendedTypes, e.kind)
			t.add(i+1, e, e.start, extended)
			if extended && chain != 0 {
				t.problem("partition %d is a second extended one: its chain was not followed", i+1)
			} else if extended {
				chain = e.start
			}
		}
	}
	if chain != 0 {
		t.follow(chain)
	}
	switch {
	case protects && others:
		return kind(record.MBRHybrid)
	case protects:
		return kind(record.MBRProtective)
	}
	return kind(record.MBRPlain)
}

// mbrEntries returns the four entries of a record, and whether it can be one.
func mbrEntries(b []byte) (entries [4]mbrEntry, ok bool) {
	if le16(b, 510) != 0xaa55 {
		return entries, false
	}
	for i := range entries {
		e := b[446+16*i:][:16]
		if e[0] != 0 && e[0] != 0x80 {
			return entries, false
		}
		entries[i] = mbrEntry{kind: e[4], start: int64(le32(e, 8)), size: int64(le32(e, 12))}
	}
	return entries, true
}

// plausible reports whether entries in a sector that is a boot sector, too, can be meant: there are some, each lies within
// the medium, and none within another. The code of a boot sector hardly looks so.
func (t *mbrTable) plausible(entries [4]mbrEntry) bool {
	var used []mbrEntry
	for _, e := range entries {
		if e == (mbrEntry{}) {
			continue
		}
		if e.kind == 0 || e.start == 0 || e.size == 0 || e.start+e.size > t.m.bytes/t.unit {
			return false
		}
		for _, o := range used {
			if e.start < o.start+o.size && o.start < e.start+e.size {
				return false
			}
		}
		used = append(used, e)
	}
	return len(used) > 0
}

func (t *mbrTable) problem(format string, args ...any) {
	if len(t.result.Problems) < record.MaxProblems {
		t.result.Problems = append(t.result.Problems, fmt.Sprintf(format, args...))
	}
}

// add lists a partition that begins at that sector; it returns false when there are too many.
func (t *mbrTable) add(index int, e mbrEntry, start int64, extended bool) bool {
	if len(t.partitions) >= t.most {
		t.problem("too many partitions: those from %d on are not listed", index)
		return false
	}
	p := partition{entry: record.Partition{Index: int64(index), Table: record.TableMBR, Type: fmt.Sprintf("%02x", e.kind),
		StartBytes: start * t.unit, SizeBytes: e.size * t.unit}}
	if extended {
		p.holder = "it holds other partitions"
	}
	if p.entry.StartBytes+p.entry.SizeBytes > t.m.bytes {
		t.problem("partition %d ends beyond the end of the medium", index)
	}
	if e.size == 0 {
		t.problem("partition %d has no sectors", index)
	}
	t.partitions = append(t.partitions, p)
	return true
}

// follow walks the chain that begins at sector first. Each record of it holds one logical partition and where the next
// record lies, counted from the first.
func (t *mbrTable) follow(first int64) {
	seen := map[int64]bool{}
	at, index := first, 5
	for {
		switch {
		case seen[at]:
			t.problem("the chain of logical partitions comes back to sector %d", at)
			return
		case len(seen) == maxChain:
			t.problem("the chain of logical partitions has more than %d records", maxChain)
			return
		}
		seen[at] = true
		b, err := t.m.read(at*t.unit, 512)
		if err != nil {
			t.problem("the chain of logical partitions breaks off at sector %d: %s", at, record.Unknown[bool](err.Error()).Reason())
			return
		}
		entries, ok := mbrEntries(b)
		if !ok {
			t.problem("the chain of logical partitions breaks off at sector %d: there is no record", at)
			return
		}
		if e := entries[0]; e.kind != 0 { // an empty one is not counted
			if !t.add(index, e, at+e.start, false) {
				return
			}
			index++
		}
		next := entries[1]
		if !slices.Contains(extendedTypes, next.kind) {
			return
		}
		at = first + next.start
	}
}
