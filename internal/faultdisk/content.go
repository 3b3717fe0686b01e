//go:build linux

package faultdisk

import (
	"encoding/binary"
	"io"
)

// Pattern is content made from the offset alone: the same seed always gives the same bytes, and no two sectors are alike.
type Pattern struct {
	Seed      uint64
	SizeBytes int64
}

// ReadAt implements io.ReaderAt; it reads io.EOF at SizeBytes.
func (p Pattern) ReadAt(b []byte, off int64) (int, error) {
	if off < 0 || off >= p.SizeBytes {
		return 0, io.EOF
	}
	n := int(min(int64(len(b)), p.SizeBytes-off))
	var word [8]byte
	for done := 0; done < n; {
		at := off + int64(done)
		if at%8 == 0 && n-done >= 8 {
			binary.LittleEndian.PutUint64(b[done:], mix(p.Seed, uint64(at/8)))
			done += 8
			continue
		}
		binary.LittleEndian.PutUint64(word[:], mix(p.Seed, uint64(at/8)))
		done += copy(b[done:n], word[at%8:])
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// mix is splitmix64: good enough to make every word differ, and fast enough not to be what a test measures.
func mix(seed, i uint64) uint64 {
	z := seed + (i+1)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// partitioned is content whose first sector is an MBR.
type partitioned struct {
	io.ReaderAt
	mbr [512]byte
}

func (p *partitioned) ReadAt(b []byte, off int64) (int, error) {
	n, err := p.ReaderAt.ReadAt(b, off)
	if n > 0 && off < int64(len(p.mbr)) {
		copy(b[:n], p.mbr[off:])
	}
	return n, err
}

// withPartitions puts an MBR with up to four Linux partitions, counted in sectors, over the start of content.
func withPartitions(content io.ReaderAt, parts []Range) io.ReaderAt {
	p := &partitioned{ReaderAt: content}
	for i, r := range parts {
		e := p.mbr[446+16*i:]
		e[4] = 0x83
		binary.LittleEndian.PutUint32(e[8:], uint32(r.First))
		binary.LittleEndian.PutUint32(e[12:], uint32(r.Count))
	}
	p.mbr[510], p.mbr[511] = 0x55, 0xaa
	return p
}
