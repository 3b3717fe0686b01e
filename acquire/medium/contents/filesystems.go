package contents

import (
	"bytes"
	"encoding/hex"
	"fmt"
)

// probes look for one family of signatures each.
var probes = []func(*volume){
	probeExt, probeXFS, probeBtrfs, probeNTFS, probeReFS, probeExFAT, probeFAT, probeHFS, probeAPFS, probeISO9660, probeUFS,
	probeSwap, probeLVM2, probeMD, probeZFS, probeLUKS, probeBitLocker, probeCoreStorage, probeAppleImage,
}

const notSought = "not looked for"

// The feature bits of ext that ext2 and ext3 know; any other makes it ext4.
const (
	extHasJournal     = 0x4
	extJournalDevice  = 0x8
	ext3Incompatible  = 0x2 | 0x4 | 0x10 // file type, recover, meta_bg
	ext3ReadOnly      = 0x1 | 0x2 | 0x4  // sparse super, large file, btree dir
	ext2Incompatible  = 0x2 | 0x10
	maxLogBlock       = 6
	extSuperblock     = 1024
	extMagicOffset    = 0x38
	extSuperblockSize = 1024
)

func probeExt(v *volume) {
	b := v.at(extSuperblock, extSuperblockSize)
	if b == nil || le16(b, extMagicOffset) != 0xef53 || le32(b, 0x18) > maxLogBlock || le32(b, 0) == 0 || le32(b, 4) == 0 {
		return
	}
	compatible, incompatible, readOnly := le32(b, 0x5c), le32(b, 0x60), le32(b, 0x64)
	if incompatible&extJournalDevice != 0 {
		return // a journal, which belongs to a file system elsewhere
	}
	name := "ext4"
	switch {
	case compatible&extHasJournal == 0 && incompatible&^ext2Incompatible == 0 && readOnly&^ext3ReadOnly == 0:
		name = "ext2"
	case compatible&extHasJournal != 0 && incompatible&^ext3Incompatible == 0 && readOnly&^ext3ReadOnly == 0:
		name = "ext3"
	}
	v.add(signature{name: name, identifier: uuid(b[0x68:0x78]), label: text(b[0x78:0x88]), offset: extSuperblock})
}

func probeXFS(v *volume) {
	b := v.at(0, 512)
	if b == nil || string(b[:4]) != "XFSB" || !power(be32(b, 4), 512, 65536) {
		return
	}
	v.add(signature{name: "xfs", identifier: uuid(b[32:48]), label: text(b[108:120])})
}

func probeBtrfs(v *volume) {
	const at = 64 << 10
	b := v.at(at, 4096)
	if b == nil || string(b[0x40:0x48]) != "_BHRfS_M" {
		return
	}
	v.add(signature{name: "btrfs", identifier: uuid(b[0x20:0x30]), label: text(b[0x12b:0x22b]), offset: at})
}

func probeNTFS(v *volume) {
	b := v.at(0, 512)
	if b == nil || string(b[3:11]) != "NTFS    " || !power(le16(b, 11), 256, 4096) {
		return
	}
	v.add(signature{name: "ntfs", identifier: fmt.Sprintf("%016x", le64(b, 0x48)), noLabel: notSought})
}

func probeReFS(v *volume) {
	if b := v.at(0, 512); b != nil && string(b[3:11]) == "ReFS\x00\x00\x00\x00" && string(b[16:20]) == "FSRS" {
		v.add(signature{name: "refs", identifier: fmt.Sprintf("%016x", le64(b, 0x38)), noLabel: notSought})
	}
}

func probeExFAT(v *volume) {
	b := v.at(0, 512)
	if b == nil || string(b[3:11]) != "EXFAT   " || b[0x6c] < 9 || b[0x6c] > 12 {
		return
	}
	v.add(signature{name: "exfat", identifier: fmt.Sprintf("%08x", le32(b, 0x64)), noLabel: notSought})
}

func probeFAT(v *volume) {
	b := v.at(0, 512)
	if b == nil || !fatGeometry(b) || le16(b, 510) != 0xaa55 || isToGo(b) {
		return
	}
	sector, reserved, roots := le16(b, 11), le16(b, 14), le16(b, 17)
	total, fat := le16(b, 19), le16(b, 22)
	if total == 0 {
		total = le32(b, 32)
	}
	if fat == 0 {
		fat = le32(b, 36)
	}
	used := reserved + uint64(b[16])*fat + (roots*32+sector-1)/sector
	if total <= used || fat == 0 {
		return
	}
	s := signature{name: "fat12"}
	extended := 38
	switch clusters := (total - used) / uint64(b[13]); {
	case le16(b, 22) == 0 && roots == 0:
		s.name, extended = "fat32", 66
	case clusters >= 65525:
		return
	case clusters >= 4085:
		s.name = "fat16"
	}
	if b[extended] == 0x29 {
		s.identifier = fmt.Sprintf("%08x", le32(b, extended+1))
		if s.label = text(b[extended+5 : extended+16]); s.label == "NO NAME" {
			s.label = ""
		}
	}
	v.add(s)
}

// fatGeometry reports whether the numbers of a BIOS parameter block can be those of FAT.
func fatGeometry(b []byte) bool {
	for _, other := range []string{"NTFS    ", "EXFAT   ", "-FVE-FS-"} {
		if string(b[3:11]) == other {
			return false
		}
	}
	return power(le16(b, 11), 512, 4096) && power(uint64(b[13]), 1, 128) && le16(b, 14) > 0 && (b[16] == 1 || b[16] == 2) &&
		(b[21] == 0xf0 || b[21] >= 0xf8)
}

func probeHFS(v *volume) {
	b := v.at(1024, 512)
	if b == nil {
		return
	}
	switch version := be16(b, 2); {
	case string(b[:2]) == "H+" && version == 4:
		v.add(signature{name: "hfsplus", identifier: hex.EncodeToString(b[0x68:0x70]), offset: 1024, noLabel: notSought})
	case string(b[:2]) == "HX" && version == 5:
		v.add(signature{name: "hfsx", identifier: hex.EncodeToString(b[0x68:0x70]), offset: 1024, noLabel: notSought})
	case string(b[:2]) == "BD" && be32(b, 0x14) != 0 && be32(b, 0x14)%512 == 0 && string(b[0x7c:0x7e]) == "H+":
		v.add(signature{name: "hfsplus", offset: 1024, noLabel: notSought}) // in a wrapper of HFS
	case string(b[:2]) == "BD" && be32(b, 0x14) != 0 && be32(b, 0x14)%512 == 0 && b[0x24] <= 27:
		v.add(signature{name: "hfs", offset: 1024, label: text(b[0x25:][:b[0x24]])})
	}
}

func probeAPFS(v *volume) {
	b := v.at(0, 4096)
	if b == nil || string(b[32:36]) != "NXSB" || !power(le32(b, 36), 4096, 65536) {
		return
	}
	s := signature{name: "apfs", identifier: uuid(b[72:88]), noLabel: notSought}
	v.add(s)
	if le64(b, 0x510) != 0 { // nx_keylocker: where the container keeps the keys of its volumes
		v.add(signature{name: "apfs-keybag", identifier: s.identifier, offset: int64(le64(b, 0x510)&(1<<36-1)) * int64(le32(b, 36))})
	}
}

func probeISO9660(v *volume) {
	for i := range int64(16) {
		at := (16 + i) * 2048
		b := v.at(at, 2048)
		if b == nil || string(b[1:6]) != "CD001" || b[0] == 255 {
			return
		}
		if b[0] == 1 {
			v.add(signature{name: "iso9660", offset: at, label: text(b[40:72])})
			return
		}
	}
}

// probeUFS looks for the superblock of UFS1 and UFS2 in either byte order where systems put it.
func probeUFS(v *volume) {
	for _, at := range []int64{64 << 10, 8 << 10, 0, 256 << 10} {
		b := v.at(at, 1376)
		if b == nil {
			continue
		}
		id := b[144:152]
		switch magic := le32(b, 1372); magic {
		case 0x19540119, 0x19015419:
			v.add(signature{name: "ufs2", identifier: hex.EncodeToString(id), offset: at, label: text(b[680:712])})
		case 0x00011954, 0x54190100:
			v.add(signature{name: "ufs1", identifier: hex.EncodeToString(id), offset: at})
		default:
			continue
		}
		return
	}
}

// probeSwap looks at the end of the first page, whose size the machine decided.
func probeSwap(v *volume) {
	for page := int64(4096); page <= 65536; page *= 2 {
		switch string(v.at(page-10, 10)) {
		case "SWAPSPACE2":
			s := signature{name: "swap", offset: page - 10}
			if b := v.at(1024, 512); b != nil {
				s.identifier, s.label = uuid(b[12:28]), text(b[28:44])
			}
			v.add(s)
			return
		case "SWAP-SPACE":
			v.add(signature{name: "swap", offset: page - 10})
			return
		}
	}
}

func le16(b []byte, at int) uint64 { return uint64(b[at]) | uint64(b[at+1])<<8 }
func le32(b []byte, at int) uint64 { return le16(b, at) | le16(b, at+2)<<16 }
func le64(b []byte, at int) uint64 { return le32(b, at) | le32(b, at+4)<<32 }
func be16(b []byte, at int) uint64 { return uint64(b[at])<<8 | uint64(b[at+1]) }
func be32(b []byte, at int) uint64 { return be16(b, at)<<16 | be16(b, at+2) }

// power reports whether n is a power of two from low to high.
func power(n, low, high uint64) bool { return n >= low && n <= high && n&(n-1) == 0 }

// uuid writes 16 bytes as they stand; empty if they are zero.
func uuid(b []byte) string {
	if bytes.Equal(b, make([]byte, 16)) {
		return ""
	}
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// guid writes 16 bytes as Microsoft and UEFI do: the first three numbers are little-endian.
func guid(b []byte) string {
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", le32(b, 0), le16(b, 4), le16(b, 6), b[8:10], b[10:16])
}
