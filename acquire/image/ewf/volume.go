package ewf

import (
	"encoding/binary"
	"fmt"
)

// VolumeBytes is the length of a volume or data section after its descriptor; smartVolumeBytes that of SMART's.
const (
	VolumeBytes      = 1052
	smartVolumeBytes = 94
)

// Bounds of a medium's cut. linen and EnCase 5 wrote chunks of up to 32,768 sectors; sectors have up to 4,096 bytes.
const (
	maxSectorsPerChunk = 32768
	maxBytesPerSector  = 4096
	maxMediaBytes      = 1 << 59 // what offsets can be computed with
)

// MediaType says what kind of medium was imaged.
type MediaType uint8

// The media types.
const (
	MediaRemovable MediaType = 0
	MediaFixed     MediaType = 1
	MediaOptical   MediaType = 3
	MediaLogical   MediaType = 14 // L01, refused
	MediaMemory    MediaType = 16
)

// The media flags. FlagImage is set in every image; the write blockers' flags tell what the examiner used.
const (
	FlagImage    = 0x01
	FlagPhysical = 0x02
	FlagFastBloc = 0x04
	FlagTableau  = 0x08
)

// The compression levels a Volume names.
const (
	LevelNone = 0
	LevelFast = 1
	LevelBest = 2
)

// Volume says how large the medium is and how it is cut. It is the volume (or disk) section of the first segment, and
// data repeats it: in the last segment if there is one only, else in all but the first.
//
//	 0  1  media type            36  1  media flags
//	 4  4  chunks                52  1  compression level
//	 8  4  sectors a chunk       56  4  error granularity, in sectors
//	12  4  bytes a sector        64 16  identifier of the set of segments
//	16  8  sectors             1048  4  Adler-32 of the 1,048 bytes before
//
// The rest is 00 or unknown, and is not looked at. SMART's form has 94 bytes: 01 for the media type, the same fields
// up to four bytes of sectors, and the Adler-32 at 90.
type Volume struct {
	MediaType        MediaType
	Chunks           uint32
	SectorsPerChunk  uint32
	BytesPerSector   uint32
	Sectors          uint64
	Flags            uint8
	Level            uint8
	ErrorGranularity uint32
	SetID            [16]byte // zero if the program gave none
	SMART            bool     // the short form, without the fields from Flags on
}

// Append appends the section's content to b.
func (v Volume) Append(b []byte) []byte {
	p := make([]byte, VolumeBytes)
	p[0] = byte(v.MediaType)
	binary.LittleEndian.PutUint32(p[4:], v.Chunks)
	binary.LittleEndian.PutUint32(p[8:], v.SectorsPerChunk)
	binary.LittleEndian.PutUint32(p[12:], v.BytesPerSector)
	binary.LittleEndian.PutUint64(p[16:], v.Sectors)
	if v.SMART {
		p = p[:smartVolumeBytes]
		copy(p[85:], "SMART")
	} else {
		p[36], p[52] = v.Flags, v.Level
		binary.LittleEndian.PutUint32(p[56:], v.ErrorGranularity)
		copy(p[64:], v.SetID[:])
	}
	end := len(p) - 4
	binary.LittleEndian.PutUint32(p[end:], checksum(p[:end]))
	return append(b, p...)
}

// ParseVolume reads a section's content, which must be exactly b.
func ParseVolume(b []byte) (Volume, error) {
	v, sound, err := parseVolume(b)
	if err == nil && !sound {
		err = fmt.Errorf("%w: wrong checksum of the volume's data", ErrStructure)
	}
	if err != nil {
		return Volume{}, err
	}
	return v, nil
}

// parseVolume leaves a wrong checksum to the caller: some devices of Logicube wrote 0 into data sections.
func parseVolume(b []byte) (v Volume, sound bool, err error) {
	if len(b) != VolumeBytes && len(b) != smartVolumeBytes {
		return Volume{}, false, fmt.Errorf("%w: a volume section of %d bytes, not %d or %d", ErrStructure, len(b), VolumeBytes, smartVolumeBytes)
	}
	v = Volume{
		MediaType:       MediaType(b[0]),
		Chunks:          binary.LittleEndian.Uint32(b[4:]),
		SectorsPerChunk: binary.LittleEndian.Uint32(b[8:]),
		BytesPerSector:  binary.LittleEndian.Uint32(b[12:]),
		SMART:           len(b) == smartVolumeBytes,
	}
	if v.SMART {
		v.Sectors = uint64(binary.LittleEndian.Uint32(b[16:]))
	} else {
		v.Sectors = binary.LittleEndian.Uint64(b[16:])
		v.Flags, v.Level = b[36], b[52]
		v.ErrorGranularity = binary.LittleEndian.Uint32(b[56:])
		copy(v.SetID[:], b[64:])
	}
	end := len(b) - 4
	return v, checksum(b[:end]) == binary.LittleEndian.Uint32(b[end:]), nil
}

// Check says whether the numbers fit together: a cut within the bounds, and exactly the chunks that hold the sectors,
// or one more behind full ones, for what is less than a sector.
func (v Volume) Check() error {
	switch {
	case v.MediaType == MediaLogical:
		return fmt.Errorf("%w: it is logical evidence (media type 14), which holds files and not a medium", ErrFormat)
	case v.SectorsPerChunk == 0 || v.SectorsPerChunk > maxSectorsPerChunk:
		return fmt.Errorf("%w: %d sectors a chunk", ErrStructure, v.SectorsPerChunk)
	case v.BytesPerSector == 0 || v.BytesPerSector > maxBytesPerSector:
		return fmt.Errorf("%w: sectors of %d bytes", ErrStructure, v.BytesPerSector)
	case v.Sectors > maxMediaBytes/uint64(v.BytesPerSector):
		return fmt.Errorf("%w: a medium of %d sectors", ErrStructure, v.Sectors)
	}
	per := uint64(v.SectorsPerChunk)
	want := (v.Sectors + per - 1) / per
	if v.Sectors%per == 0 && uint64(v.Chunks) == want+1 {
		return nil // ewfacquire puts less than a sector into one chunk more, and does not count it as one
	}
	if want != uint64(v.Chunks) {
		return fmt.Errorf("%w: %d chunks for %d sectors, which are %d chunks of %d", ErrStructure, v.Chunks, v.Sectors, want, per)
	}
	return nil
}

// chunkBytes and mediaBytes are what Check bounds.
func (v Volume) chunkBytes() int64 { return int64(v.SectorsPerChunk) * int64(v.BytesPerSector) }
func (v Volume) mediaBytes() int64 { return int64(v.Sectors) * int64(v.BytesPerSector) }
