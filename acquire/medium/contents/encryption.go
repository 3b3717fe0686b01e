package contents

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"regexp"
)

// uuidText is a UUID in letters, as LUKS writes it.
var uuidText = regexp.MustCompile(`^[0-9a-fA-F-]{1,36}$`)

// probeLUKS looks for the header and, where that is gone, for the second one of LUKS2, which lies at one of these places.
func probeLUKS(v *volume) {
	if b := v.at(0, 512); b != nil && string(b[:6]) == "LUKS\xba\xbe" {
		switch be16(b, 6) {
		case 1:
			v.add(signature{name: "luks1", identifier: identifier(b[168:208])})
		case 2:
			v.add(signature{name: "luks2", identifier: identifier(b[168:208]), label: text(b[24:72])})
		}
		return
	}
	for at := int64(16 << 10); at <= 4<<20; at *= 2 {
		if b := v.at(at, 512); b != nil && string(b[:8]) == "SKUL\xba\xbe\x00\x02" {
			v.add(signature{name: "luks2", identifier: identifier(b[168:208]), label: text(b[24:72]), offset: at})
			return
		}
	}
}

func identifier(b []byte) string {
	if s := text(b); uuidText.MatchString(s) {
		return s
	}
	return ""
}

func probeBitLocker(v *volume) {
	b := v.at(0, 512)
	switch {
	case b == nil:
	case string(b[3:11]) == "-FVE-FS-":
		v.add(signature{name: "bitlocker", noLabel: notSought})
	case isToGo(b):
		v.add(signature{name: "bitlocker-to-go", noLabel: notSought})
	}
}

// isToGo recognises BitLocker To Go, whose first sector is also that of a FAT volume with the program that opens it.
func isToGo(b []byte) bool {
	switch guid(b[424:440]) {
	case "4967d63b-2e29-4ad8-8399-f6a339e3d001", "92a84d3b-dd80-4d0e-9e4e-b1e3284eaed8":
		return string(b[3:11]) == "MSWIN4.1"
	}
	return false
}

// probeCoreStorage looks for the header of a physical volume. Whether FileVault is on stands in its encrypted metadata.
func probeCoreStorage(v *volume) {
	b := v.at(0, 512)
	if b == nil || string(b[88:90]) != "CS" || le16(b, 8) != 1 || le16(b, 10) != 0x10 || le32(b, 90) != 1 {
		return
	}
	v.add(signature{name: "corestorage", identifier: uuid(b[304:320]), noLabel: notSought})
}

// probeAppleImage looks for an encrypted disk image, as FileVault's first version used it for a home folder.
func probeAppleImage(v *volume) {
	switch {
	case v.has(0, "encrcdsa"):
		v.add(signature{name: "apple-encrypted-image"})
	case v.has(v.size-8, "cdsaencr"):
		v.add(signature{name: "apple-encrypted-image", offset: v.size - 8})
	}
}

func probeLVM2(v *volume) {
	for at := int64(0); at < 4*512; at += 512 {
		b := v.at(at, 512)
		if b == nil || string(b[:8]) != "LABELONE" || string(b[24:32]) != "LVM2 001" {
			continue
		}
		s := signature{name: "lvm2", offset: at}
		if from := le32(b, 20); from >= 32 && from <= 512-32 {
			if id := b[from : from+32]; lvmID.Match(id) {
				s.identifier = fmt.Sprintf("%s-%s-%s-%s-%s-%s-%s", id[:6], id[6:10], id[10:14], id[14:18], id[18:22], id[22:26], id[26:])
			}
		}
		v.add(s)
		return
	}
}

var lvmID = regexp.MustCompile(`^[0-9A-Za-z]{32}$`)

// probeMD looks for a member of a Linux RAID: versions 1.1, 1.2 and 1.0, then 0.90, which lies 64 KiB aligned at the end.
func probeMD(v *volume) {
	for _, at := range []int64{0, 4096, (v.size/512 - 16) &^ 7 * 512} {
		if b := v.at(at, 256); b != nil && le32(b, 0) == 0xa92b4efc && le32(b, 4) == 1 {
			v.add(signature{name: "md", identifier: uuid(b[16:32]), label: text(b[32:64]), offset: at})
			return
		}
	}
	at := v.size&^(64<<10-1) - 64<<10
	b := v.at(at, 256)
	if b == nil || le32(b, 0) != 0xa92b4efc && be32(b, 0) != 0xa92b4efc {
		return
	}
	major := le32(b, 4)
	if be32(b, 0) == 0xa92b4efc {
		major = be32(b, 4)
	}
	if major == 0 {
		id := append(append([]byte{}, b[20:24]...), b[52:64]...)
		v.add(signature{name: "md", identifier: uuid(id), offset: at})
	}
}

// probeZFS looks for one of the four labels: a list of names and values in XDR that gives the pool's number.
func probeZFS(v *volume) {
	const label = 256 << 10
	for _, at := range []int64{0, label, v.size&^(label-1) - 2*label, v.size&^(label-1) - label} {
		b := v.at(at+16<<10, 4096)
		if b == nil || b[0] != 1 || string(b[2:12]) != "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" {
			continue
		}
		// A number of 64 bits: length of the name, name, padding, type, count, and then the value.
		pair := []byte("\x00\x00\x00\x09pool_guid\x00\x00\x00\x00\x00\x00\x08\x00\x00\x00\x01")
		if i := bytes.Index(b[:len(b)-8], pair); i >= 0 {
			v.add(signature{name: "zfs", identifier: hex.EncodeToString(b[i+len(pair):][:8]), offset: at, noLabel: notSought})
			return
		}
	}
}
