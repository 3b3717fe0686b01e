package contents

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
	"unicode/utf16"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// volume is a partition, or the medium as a whole, while it is looked at.
type volume struct {
	m           *pages
	start, size int64 // within the medium
	beyond      bool  // it begins where the medium has ended
	found       []signature
	unread      []record.UnreadPlace
}

// signature is a record.Signature with its label in the clear.
type signature struct {
	name, identifier string
	offset           int64
	label            string
	noLabel          string // why there is no label
}

// look tries every signature on size bytes from start, as far as the medium has them.
func (m *pages) look(start, size int64) *volume {
	v := &volume{m: m, start: start, size: min(size, m.bytes-start), beyond: size > 0 && start >= m.bytes}
	if v.size <= 0 {
		v.size = 0
		return v
	}
	for _, probe := range probes {
		probe(v)
	}
	slices.SortFunc(v.found, func(a, b signature) int {
		return cmp.Or(cmp.Compare(a.offset, b.offset), cmp.Compare(a.name, b.name))
	})
	return v
}

// at returns n bytes at off, or nothing where the volume does not have them or they cannot be read, which is kept.
func (v *volume) at(off, n int64) []byte {
	if off < 0 || off > v.size || n > v.size-off {
		return nil
	}
	b, err := v.m.read(v.start+off, n)
	if p, ok := errors.AsType[*placeError](err); ok {
		v.missed(max(0, p.offset-v.start), err)
	}
	if err != nil {
		return nil
	}
	return b
}

func (v *volume) missed(off int64, err error) {
	i, known := slices.BinarySearchFunc(v.unread, off, func(u record.UnreadPlace, off int64) int { return cmp.Compare(u.OffsetBytes, off) })
	if !known && len(v.unread) < record.MaxUnreadPlaces {
		v.unread = slices.Insert(v.unread, i, record.UnreadPlace{OffsetBytes: off, Reason: record.Unknown[bool](err.Error()).Reason()})
	}
}

// has requires text at off and returns whether it is there.
func (v *volume) has(off int64, text string) bool { return string(v.at(off, int64(len(text)))) == text }

// add keeps a signature.
func (v *volume) add(s signature) {
	if s.label == "" && s.noLabel == "" {
		s.noLabel = noLabel
	}
	same := func(t signature) bool { return t.name == s.name && t.offset == s.offset }
	if len(v.found) < record.MaxSignatures && !slices.ContainsFunc(v.found, same) {
		v.found = append(v.found, s)
	}
}

// boots reports whether the first sector is the boot sector of a volume, which looks much like a master boot record.
func (v *volume) boots() bool {
	names := []string{"bitlocker", "bitlocker-to-go", "exfat", "fat12", "fat16", "fat32", "ntfs", "refs"}
	return slices.ContainsFunc(v.found, func(s signature) bool { return s.offset == 0 && slices.Contains(names, s.name) })
}

// result says what was found; holder, if not empty, why the bytes of the volume are those of other volumes.
func (v *volume) result(holder string) record.Volume {
	signatures := []record.Signature{}
	for _, s := range v.found {
		signatures = append(signatures, record.Signature{Identifier: s.identifier, Name: s.name, OffsetBytes: s.offset})
	}
	r := record.Volume{Signatures: record.Known(signatures), Unread: append([]record.UnreadPlace{}, v.unread...)}
	if len(signatures) == 0 {
		switch {
		case v.beyond:
			r.Signatures = record.Unknown[[]record.Signature](errOutside.Error())
		case len(v.unread) > 0:
			r.Signatures = record.Unknown[[]record.Signature](v.unread[0].Reason)
		}
	}
	switch {
	case v.beyond:
		r.PossiblyEncrypted = record.Unknown[bool](errOutside.Error())
	case len(signatures) > 0:
		r.PossiblyEncrypted = record.Unknown[bool]("not tried: something was recognised")
	case holder != "":
		r.PossiblyEncrypted = record.Unknown[bool](holder)
	case len(v.unread) > 0:
		r.PossiblyEncrypted = record.Unknown[bool](v.unread[0].Reason)
	default:
		r.PossiblyEncrypted = v.random()
	}
	return r
}

const (
	samples     = 16
	sampleBytes = 16 << 10
)

// random reports whether samples from the whole volume look like the throws of a die with 256 faces: a chi-squared of 255
// degrees of freedom within six standard deviations (each 22.6) of its mean. Encrypted bytes do; so do random ones and some
// compressed ones.
func (v *volume) random() record.Fact[bool] {
	if v.size < samples*sampleBytes {
		return record.Unknown[bool]("too small to tell")
	}
	var count [256]float64
	for i := range int64(samples) {
		b, err := v.m.read(v.start+i*((v.size-sampleBytes)/(samples-1)), sampleBytes)
		if err != nil {
			return record.Unknown[bool](err.Error())
		}
		for _, c := range b {
			count[c]++
		}
	}
	const expected = samples * sampleBytes / 256
	chi := 0.0
	for _, n := range count {
		chi += (n - expected) * (n - expected) / expected
	}
	return record.Known(chi > 119 && chi < 391)
}

// text is a label in a field of fixed length, which a zero byte may end.
func text(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return record.DeviceText(b)
}

// text16 is text in UTF-16, little-endian.
func text16(b []byte) string {
	var units []uint16
	for ; len(b) >= 2; b = b[2:] {
		u := binary.LittleEndian.Uint16(b)
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return record.DeviceText([]byte(string(utf16.Decode(units))))
}
