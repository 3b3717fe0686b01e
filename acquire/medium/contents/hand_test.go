package contents

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

const handBytes = 4 << 20

// put writes a text or bytes given in hex at an offset; negative ones count from the end.
func put(b []byte, at int, what string) {
	if at < 0 {
		at += len(b)
	}
	copy(b[at:], what)
}

func unhex(s string) string {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return string(b)
}

const handUUID = "00112233445566778899aabbccddeeff"

// handMade are headers that no tool here makes, written from their descriptions.
var handMade = map[string]struct {
	make       func([]byte)
	identifier string
	label      string
	offset     int64
	noBlkid    string // why libblkid is not asked
}{
	"bitlocker": {make: func(b []byte) {
		put(b, 0, "\xeb\x58\x90-FVE-FS-\x00\x02\x08")
		put(b, 160, unhex("3bd66749292ed84a8399f6a339e3d001"))
		put(b, 176, unhex("0000200000000000"))
		put(b, 510, "\x55\xaa")
		put(b, 2<<20, "-FVE-FS-\x20\x00\x02\x00")
	}},
	"bitlocker-to-go": {make: func(b []byte) {
		put(b, 0, "\xeb\x58\x90MSWIN4.1\x00\x02\x08\x20\x00\x02\x00\x00\x00\x00\xf8")
		put(b, 32, "\x00\x20\x00\x00\x10\x00\x00\x00")
		put(b, 424, unhex("3bd66749292ed84a8399f6a339e3d001 0000200000000000"))
		put(b, 510, "\x55\xaa")
		put(b, 2<<20, "-FVE-FS-\x20\x00\x02\x00")
	}},
	"apfs": {make: func(b []byte) { // the block's checksum is right, or libblkid would not take it
		put(b, 8, unhex("0100000000000000 0200000000000000 01000080 00000000")+"NXSB"+unhex("00100000 0004000000000000"))
		put(b, 72, unhex(handUUID))
		put(b, 0, fletcher(b[8:4096]))
	}, identifier: "00112233-4455-6677-8899-aabbccddeeff"},
	"corestorage": {make: func(b []byte) {
		put(b, 8, unhex("0100 1000"))
		put(b, 88, "CS"+unhex("01000000"))
		put(b, 304, unhex(handUUID))
	}, identifier: "00112233-4455-6677-8899-aabbccddeeff", noBlkid: "it does not know CoreStorage"},
	"apple-encrypted-image": {make: func(b []byte) { put(b, 0, "encrcdsa\x00\x00\x00\x02") }, noBlkid: "it does not know disk images"},
	"hfsplus": {make: func(b []byte) {
		put(b, 1024, "H+\x00\x04")
		put(b, 1024+40, unhex("00001000 00000400"))
		put(b, 1024+0x68, unhex("0011223344556677"))
	}, identifier: "0011223344556677", offset: 1024, noBlkid: "it hashes the number of the volume into its UUID"},
	"hfsx": {make: func(b []byte) { put(b, 1024, "HX\x00\x05"+strings.Repeat("\x00", 36)+unhex("00001000")) }, identifier: "0000000000000000", offset: 1024, noBlkid: "as before"},
	"hfs": {make: func(b []byte) {
		put(b, 1024, "BD")
		put(b, 1024+0x14, unhex("00000200")+strings.Repeat("\x00", 12)+"\x03OLD")
	}, label: "OLD", offset: 1024},
	"iso9660": {make: func(b []byte) {
		put(b, 32<<10, "\x01CD001\x01")
		put(b, 32<<10+40, "CDROM     ")
		put(b, 34<<10, "\xffCD001\x01")
	}, label: "CDROM", offset: 32 << 10},
	"ufs2": {make: func(b []byte) {
		put(b, 64<<10+144, unhex("8877665544332211"))
		put(b, 64<<10+680, "freebsd")
		put(b, 64<<10+1372, unhex("19015419"))
	}, identifier: "8877665544332211", label: "freebsd", offset: 64 << 10, noBlkid: "it turns the numbers of the identifier"},
	"ufs1": {make: func(b []byte) { put(b, 8<<10+1372, unhex("54190100")) }, identifier: "0000000000000000", offset: 8 << 10, noBlkid: "as before"},
	"refs": {make: func(b []byte) { put(b, 3, "ReFS\x00\x00\x00\x00"); put(b, 16, "FSRS") }, identifier: "0000000000000000", noBlkid: "its version here may be older"},
	"lvm2": {make: func(b []byte) {
		put(b, 512, "LABELONE"+unhex("0100000000000000 00000000 20000000")+"LVM2 001"+"0123456789abcdefghijklmnopqrstuv")
		put(b, 512+16, crcLVM(b[512+20:1024]))
	}, identifier: "012345-6789-abcd-efgh-ijkl-mnop-qrstuv", offset: 512},
	"md": {make: func(b []byte) {
		put(b, 4096, unhex("fc4e2ba9 01000000 00000000 00000000")+unhex(handUUID)+"host:0")
		put(b, 4096+144, unhex("0800000000000000"))
		put(b, 4096+128, unhex("0008000000000000"))
	}, identifier: "00112233-4455-6677-8899-aabbccddeeff", label: "host:0", offset: 4096, noBlkid: "it wants the place and the checksum, too"},
	"zfs": {make: func(b []byte) {
		put(b, 256<<10+16<<10, unhex("01010000 00000000 00000001 00000024 00000020")+
			"\x00\x00\x00\x07version\x00\x00\x00\x00\x08\x00\x00\x00\x01"+unhex("0000000000001388 00000028 00000028")+
			"\x00\x00\x00\x09pool_guid\x00\x00\x00\x00\x00\x00\x08\x00\x00\x00\x01"+unhex("0102030405060708"))
	}, identifier: "0102030405060708", offset: 256 << 10, noBlkid: "it wants blocks that a pool in use has"},
}

// fletcher is the checksum of APFS, Fletcher's with 64 bits.
func fletcher(b []byte) string {
	var low, high uint64
	const m = 1<<32 - 1
	for ; len(b) > 0; b = b[4:] {
		low = (low + uint64(binary.LittleEndian.Uint32(b))) % m
		high = (high + low) % m
	}
	c1 := m - (low+high)%m
	c2 := m - (low+c1)%m
	return string(binary.LittleEndian.AppendUint64(nil, c2<<32|c1))
}

// crcLVM is the checksum of an LVM2 label: CRC-32 that begins elsewhere and is not inverted.
func crcLVM(b []byte) string {
	crc := uint32(0xf597a6cf)
	for _, c := range b {
		crc ^= uint32(c)
		for range 8 {
			crc = crc>>1 ^ 0xedb88320&-(crc&1)
		}
	}
	return string(binary.LittleEndian.AppendUint32(nil, crc))
}

func TestHandMadeHeaders(t *testing.T) {
	t.Parallel()
	for want, h := range handMade {
		t.Run(want, func(t *testing.T) {
			b := make([]byte, handBytes)
			h.make(b)
			c, labels := lookAt(t, bytes.NewReader(b), handBytes, 512)
			all, _ := c.Volume.Signatures.Get()
			if got := names(c.Volume); !slices.Equal(got, []string{want}) {
				t.Fatalf("recognised %q, want %q", got, want)
			}
			label := labels["/volume/signatures/0/label"]
			if all[0].Identifier != h.identifier || label != h.label || all[0].OffsetBytes != h.offset {
				t.Errorf("identifier %q, label %q at %d; want %q, %q, %d", all[0].Identifier, label, all[0].OffsetBytes, h.identifier, h.label, h.offset)
			}
			if kind, _ := c.MBR.Kind.Get(); kind != record.MBRNone {
				t.Errorf("a volume is taken for a master boot record of kind %q", kind)
			}
			if h.noBlkid != "" {
				return
			}
			testtool.Need(t, "blkid")
			name := sparse(t, 4)
			if err := os.WriteFile(name, b, 0o600); err != nil {
				t.Fatal(err)
			}
			sameAsBlkid(t, name, c.Volume, label)
		})
	}
}

// A keybag says that the container keeps keys: FileVault, or a Mac that always does.
func TestKeybag(t *testing.T) {
	b := make([]byte, handBytes)
	handMade["apfs"].make(b)
	put(b, 0x510, unhex("2100000000000000 0100000000000000"))
	c, _ := lookAt(t, bytes.NewReader(b), handBytes, 512)
	all, _ := c.Volume.Signatures.Get()
	if len(all) != 2 || all[1].Name != "apfs-keybag" || all[1].OffsetBytes != 0x21<<12 || !all[1].Encrypts() || all[0].Encrypts() {
		t.Errorf("recognised %+v, want a container and its keybag", all)
	}
}

// The other places of signatures that have several.
func TestOtherPlaces(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		make   func([]byte)
		want   string
		offset int64
	}{
		"md 1.0":        {func(b []byte) { put(b, -8192, unhex("fc4e2ba9 01000000")) }, "md", handBytes - 8192},
		"md 1.1":        {func(b []byte) { put(b, 0, unhex("fc4e2ba9 01000000")) }, "md", 0},
		"md 0.90":       {func(b []byte) { put(b, -65536, unhex("fc4e2ba9 00000000")) }, "md", handBytes - 65536},
		"md 0.90, big":  {func(b []byte) { put(b, -65536, unhex("a92b4efc 00000000")) }, "md", handBytes - 65536},
		"swap, 64 KiB":  {func(b []byte) { put(b, 65526, "SWAPSPACE2") }, "swap", 65526},
		"old swap":      {func(b []byte) { put(b, 4086, "SWAP-SPACE") }, "swap", 4086},
		"image, ending": {func(b []byte) { put(b, -8, "cdsaencr") }, "apple-encrypted-image", handBytes - 8},
		"HFS+ wrapped":  {func(b []byte) { put(b, 1024, "BD"); put(b, 1024+0x14, unhex("00000200")); put(b, 1024+0x7c, "H+") }, "hfsplus", 1024},
		"luks2, second": {func(b []byte) { put(b, 1<<20, "SKUL\xba\xbe\x00\x02") }, "luks2", 1 << 20},
	} {
		b := make([]byte, handBytes)
		test.make(b)
		c, _ := lookAt(t, bytes.NewReader(b), handBytes, 512)
		all, _ := c.Volume.Signatures.Get()
		if len(all) != 1 || all[0].Name != test.want || all[0].OffsetBytes != test.offset {
			t.Errorf("%s: recognised %+v, want %s at %d", name, all, test.want, test.offset)
		}
	}
}
