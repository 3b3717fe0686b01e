package probe

import (
	"encoding/binary"
	"strings"
	"testing"
)

func TestVitalPages(t *testing.T) {
	for name, test := range map[string]struct{ page, wwn, eui string }{
		"NAA":              {"\x00\x83\x00\x0c\x61\x93\x00\x08\x50\x00\xc5\x00\x11\x22\x33\x44\x01\x03\x00\x08\x50\x00\xc5\x00\x11\x22\x33\x45", "?", "?"}, // the page ends before the second
		"port, then unit":  {"\x00\x83\x00\x18\x61\x93\x00\x08\x50\x00\xc5\x00\x11\x22\x33\x44\x01\x03\x00\x08\x50\x00\xc5\x00\x11\x22\x33\x45", "5000c50011223345", "?"},
		"NAA of 16 bytes":  {"\x00\x83\x00\x14\x01\x03\x00\x10\x60\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f", "600102030405060708090a0b0c0d0e0f", "?"},
		"EUI-64":           {"\x00\x83\x00\x0c\x01\x02\x00\x08\x00\x25\x38\x5a\x71\xb0\x12\x34", "?", "0025385a71b01234"},
		"text of a vendor": {"\x00\x83\x00\x08\x02\x01\x00\x04ABCD", "?", "?"},
		"NAA as text":      {"\x00\x83\x00\x0c\x02\x03\x00\x08ABCDEFGH", "?", "?"},
		"cut off":          {"\x00\x83\x00\x0c\x01\x03\x00\x08\x50\x00", "?", "?"},
		"another page":     {"\x00\x80\x00\x0c\x01\x03\x00\x08\x50\x00\xc5\x00\x11\x22\x33\x45", "?", "?"},
		"nothing":          {"", "?", "?"},
	} {
		wwn, eui := identityPage([]byte(test.page))
		for _, c := range [][2]string{{show(wwn), test.wwn}, {show(eui), test.eui}} {
			if !fits(c[0], c[1]) {
				t.Errorf("%s: got %q, want %q", name, c[0], c[1])
			}
		}
	}
	for page, want := range map[string]string{
		"\x00\x80\x00\x08  Z1Z2  more": "Z1Z2", "\x00\x80\x00\x04\x00\x00\x00\x00": "? the drive's serial number is blank",
		"\x00\x80\x00": "? INQUIRY page 80h", "\x05\x00\x02\x02": "? INQUIRY page 80h", "\x00\x80\xff\xffA\nB": `A\x0aB`,
	} {
		if got := show(serialPage([]byte(page))); !fits(got, want) {
			t.Errorf("serial of %q is %q, want %q", page, got, want)
		}
	}
	for page, want := range map[string]string{"\x00\xb1\x00\x3c\x00\x01": "false", "\x00\xb1\x00\x3c\x1c\x20": "true", "\x00\xb1\x00\x3c\x00\x00": "? ",
		"\x00\xb1\x00\x3c\xff\xff": "? ", "\x00\xb1\x00\x3c\x00": "? ", "\x00\xb1\x00\x01\x00\x01": "? "} {
		if got := show(rotationPage([]byte(page))); !fits(got, want) {
			t.Errorf("rotation of %q is %q, want %q", page, got, want)
		}
	}
}

func TestModeSenseAndCapacity(t *testing.T) {
	for answer, want := range map[string]string{
		"\x23\x00\x80\x00": "true", "\x23\x00\x00\x08": "false", "\x23\x00\x10\x00rest": "false",
		"": "? MODE SENSE", "\x23\x00\x80": "? MODE SENSE", "\x00\x00\x80\x00": "? MODE SENSE",
	} {
		if got := show(modeWriteProtect([]byte(answer))); !strings.HasPrefix(got, want) {
			t.Errorf("WP of %q is %q, want %q", answer, got, want)
		}
	}
	for flags, want := range map[byte][2]string{0xc0: {"true", "true"}, 0x80: {"true", "false"}, 0x40: {"false", "? the drive has no"}, 0: {"false", "? the drive has no"}} {
		p := make([]byte, 32)
		p[14] = flags
		unmap, zeros := capacityProvisioning(p)
		if show(unmap) != want[0] || !strings.HasPrefix(show(zeros), want[1]) {
			t.Errorf("flags %02x: %q, %q; want %q", flags, show(unmap), show(zeros), want)
		}
	}
	if unmap, zeros := capacityProvisioning(make([]byte, 15)); unmap.Reason() == "" || zeros.Reason() == "" {
		t.Error("a cut-off capacity was believed")
	}
}

func TestRefusal(t *testing.T) {
	for name, test := range map[string]struct {
		answer Answer
		want   string
	}{
		"good":              {Answer{}, ""},
		"recovered":         {Answer{Status: 2, Sense: []byte{0x70, 0, 1, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x17, 1}}, ""},
		"not ready, fixed":  {Answer{Status: 2, Sense: []byte{0xf0, 0, 2, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x3a, 0}}, "the drive refuses it: not ready (sense 02/3a/00)"},
		"illegal":           {refusal, "the drive refuses it: illegal request (sense 05/20/00)"},
		"short fixed":       {Answer{Status: 2, Sense: []byte{0x70, 0, 5}}, "the drive refuses it: illegal request (sense 05/00/00)"},
		"no sense at all":   {Answer{Status: 2}, "the drive refuses it and does not say why"},
		"sense of nonsense": {Answer{Status: 2, Sense: []byte{1, 2, 3, 4}}, "the drive refuses it and does not say why"},
		"busy":              {Answer{Status: 8}, "the drive answers with status 08h"},
	} {
		got := ""
		if err := test.answer.refusal(); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%s: got %q, want %q", name, got, test.want)
		}
	}
}

// Commands that change something, or that nobody looked at, never leave the program.
func TestHarmless(t *testing.T) {
	long := func(op byte, at map[int]byte) []byte {
		cdb := make([]byte, 16)
		cdb[0] = op
		for i, b := range at {
			cdb[i] = b
		}
		return cdb
	}
	nonData := func(command, feature byte, more map[int]byte) []byte {
		cdb := askCDB(command, feature, true)
		for i, b := range more {
			cdb[i] = b
		}
		return cdb
	}
	for name, cdb := range map[string][]byte{
		"nothing": nil, "WRITE (10)": {0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0}, "MODE SELECT": {0x15, 0x10, 0, 0, 0, 0}, "FORMAT UNIT": {4, 0, 0, 0, 0, 0},
		"START STOP UNIT": {0x1b, 0, 0, 0, 0, 0}, "SANITIZE": {0x48, 0, 0, 0, 0, 0, 0, 0, 0, 0}, "UNMAP": {0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"SERVICE ACTION IN, another": long(0x9e, map[int]byte{1: 0x12}), "WRITE (16)": long(0x8a, nil), "ATA PASS-THROUGH (12)": make([]byte, 12),
		"SET MAX ADDRESS": nonData(0xf9, 0, nil), "SET MAX ADDRESS EXT": nonData(0x37, 0, nil), "SET ACCESSIBLE MAX ADDRESS EXT": nonData(0x78, 1, nil),
		"FREEZE ACCESSIBLE MAX ADDRESS EXT": nonData(0x78, 2, nil), "AMAC with a high feature": nonData(0x78, 0, map[int]byte{3: 1}),
		"DCO RESTORE": nonData(0xb1, 0xc0, nil), "DCO FREEZE LOCK": nonData(0xb1, 0xc1, nil), "DCO SET": readCDB(0xb1, 0xc3), "DCO IDENTIFY without data": nonData(0xb1, 0xc2, nil),
		"SMART ENABLE": nonData(0xb0, 0xd8, nil), "SMART DISABLE": nonData(0xb0, 0xd9, nil), "SMART EXECUTE OFF-LINE": nonData(0xb0, 0xd4, nil),
		"SMART WRITE LOG": readCDB(0xb0, 0xd6), "SMART without its key": nonData(0xb0, 0xda, map[int]byte{10: 0}),
		"SECURITY ERASE UNIT": readCDB(0xf4, 0), "SECURITY FREEZE LOCK": nonData(0xf5, 0, nil), "WRITE DMA EXT": readCDB(0x35, 0), "TRIM": readCDB(0x06, 1),
		"DOWNLOAD MICROCODE": readCDB(0x92, 0), "STANDBY": nonData(0xe0, 0, nil), "SET FEATURES": nonData(0xef, 3, nil), "SANITIZE DEVICE": nonData(0xb4, 0, nil),
		"IDENTIFY with data to the drive": long(0x85, map[int]byte{1: 5 << 1, 2: 6, 14: 0xec}), "IDENTIFY, direction to the drive": long(0x85, map[int]byte{1: 4 << 1, 2: 6, 14: 0xec}),
		"IDENTIFY by DMA": long(0x85, map[int]byte{1: 6 << 1, 2: 0x0e, 14: 0xec}), "hard reset": long(0x85, map[int]byte{1: 0, 14: 0xec}),
	} {
		a := &asker{commander: &fakeDrive{t: t}}
		if _, err := a.scsi(name, cdb, nil); err == nil || !strings.Contains(err.Error(), "none of the harmless") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, cmd := range map[string]NVMeCommand{"format": {0x80, 1, 0}, "namespace management": {0x0d, 1, 0}, "set features": {0x09, 0, 6}, "another log": {0x02, 0, 3},
		"sanitize": {0x84, 0, 2}, "firmware": {0x10, 0, 0}, "another structure": {0x06, 0, 3}, "a structure of a controller": {0x06, 0, 1 | 1<<16}} {
		a := &asker{commander: &fakeDrive{t: t}}
		if _, err := a.admin(name, cmd, 512); err == nil || !strings.Contains(err.Error(), "none of the harmless") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, cdb := range [][]byte{readCDB(0xec, 0), readCDB(0xb1, 0xc2), readCDB(0xb0, 0xd0), askCDB(0xb0, 0xda, false), askCDB(0x27, 0, true), askCDB(0xf8, 0, false), askCDB(0x78, 0, true)} {
		if !harmless(cdb) {
			t.Errorf("% x is refused", cdb)
		}
	}
}

// The bytes of the commands, as hdparm and smartctl send them too.
func TestCommandBytes(t *testing.T) {
	for name, test := range map[string]struct {
		got  []byte
		want string
	}{
		"IDENTIFY DEVICE":     {readCDB(0xec, 0), "85 08 0e 00 00 00 01 00 00 00 00 00 00 00 ec 00"},
		"DCO IDENTIFY":        {readCDB(0xb1, 0xc2), "85 08 0e 00 c2 00 01 00 00 00 00 00 00 00 b1 00"},
		"SMART READ DATA":     {readCDB(0xb0, 0xd0), "85 08 0e 00 d0 00 01 00 00 00 4f 00 c2 00 b0 00"},
		"SMART RETURN STATUS": {askCDB(0xb0, 0xda, false), "85 06 20 00 da 00 00 00 00 00 4f 00 c2 40 b0 00"},
		"READ NATIVE MAX EXT": {askCDB(0x27, 0, true), "85 07 20 00 00 00 00 00 00 00 00 00 00 40 27 00"},
		"READ NATIVE MAX":     {askCDB(0xf8, 0, false), "85 06 20 00 00 00 00 00 00 00 00 00 00 40 f8 00"},
	} {
		want := make([]byte, 0, 16)
		for part := range strings.FieldsSeq(test.want) {
			var b byte
			for _, c := range part {
				b = b<<4 | byte(strings.IndexRune("0123456789abcdef", c))
			}
			want = append(want, b)
		}
		if string(test.got) != string(want) {
			t.Errorf("%s: got % x, want % x", name, test.got, want)
		}
	}
	if binary.BigEndian.Uint16(readCDB(0xec, 0)) != 0x8508 {
		t.Error("PIO data-in is protocol 4")
	}
}

// Sense data as Linux 6.1 gave them for READ NATIVE MAX ADDRESS EXT of a SATA disk of 64 MiB.
func TestRecordedSense(t *testing.T) {
	recorded := []byte{0x72, 1, 0, 0x1d, 0, 0, 0, 0x0e, 0x09, 0x0c, 1, 0, 0, 0, 0, 0xff, 0, 0xff, 0, 1, 0x40, 0x50}
	r, err := parseRegisters(recorded, true)
	if err != nil || r.lba != 64<<20/512-1 || r.status != 0x50 || r.device != 0x40 {
		t.Errorf("got %+v, %v", r, err)
	}
	if made := descriptor(true, 0x50, 64<<20/512-1, 0x40); string(made.Sense) != string(recorded) {
		t.Errorf("the tests make % x", made.Sense)
	}
}
