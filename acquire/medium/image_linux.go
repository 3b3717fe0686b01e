package medium

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/exhibit-forensics/exhibit/acquire/image/ewf"
	"github.com/exhibit-forensics/exhibit/custody/record"
)

// e01 is the medium inside an E01 image, as the image was when it was opened. It is read through the page cache: the bytes
// of a chunk count by its checksum.
type e01 struct {
	host   host
	path   string // of the first file, as it was named
	r      *ewf.Reader
	places []node // of its files
	about  record.Medium
	now    State

	mu      sync.Mutex       // held while the image is read
	damaged *ewf.DamageError // the chunk that was last found to be damaged, which is not decoded for each of its sectors
	closed  atomic.Bool
}

// asFileHint is for an image that was named and cannot be opened as one.
const asFileHint = "if the file itself is the evidence, read its own bytes: --as-file"

// openE01 opens the image whose first file is at path, and begins like an image. If it may be incomplete, what stood in
// segments that are missing is a bad place.
func openE01(path string, incomplete bool) (*e01, error) {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, plain(err)
	}
	dir := filepath.Dir(real)
	find, openImage := ewf.Find, ewf.Open
	if incomplete {
		find, openImage = ewf.FindIncomplete, ewf.OpenIncomplete
	}
	names, err := find(os.DirFS(dir), filepath.Base(real))
	if err != nil {
		return nil, refusedImage("it is a segment of an E01 image", err)
	}
	r, err := openImage(os.DirFS(dir), names)
	if err != nil {
		return nil, refusedImage("it begins like an image", err)
	}
	s := &e01{host: thisHost(), path: path, r: r, now: unknownState("an image does not have it")}
	if err = s.lookAt(dir); err == nil {
		err = s.describeImage()
	}
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	s.addNotes()
	return s, nil
}

func refusedImage(what string, err error) error {
	hint := asFileHint
	if errors.Is(err, ewf.ErrMissing) {
		hint = "put the missing segment beside the others; if there is none, what is there is read, and the rest listed as unread, with: --incomplete"
	}
	return &HintError{fmt.Errorf("%s: %w", what, err), hint}
}

// lookAt notes where the files lie.
func (s *e01) lookAt(dir string) error {
	for _, f := range s.r.Segments() {
		info, err := os.Lstat(filepath.Join(dir, f.Name))
		if err != nil {
			return plain(err)
		}
		s.places = append(s.places, fileNode(info))
	}
	return s.r.Unchanged()
}

func (s *e01) describeImage() error {
	sector := s.r.SectorBytes()
	if sector < fileSectorBytes || sector&(sector-1) != 0 {
		return &HintError{fmt.Errorf("the image has sectors of %d bytes: %w", sector, errors.ErrUnsupported), asFileHint}
	}
	const none = "an image does not have it"
	s.about = record.Medium{
		Container:           record.Known(s.container()),
		Kind:                record.MediumImage,
		Name:                record.Unknown[string](none),
		LogicalSectorBytes:  record.Known(sector),
		PhysicalSectorBytes: record.Unknown[int64](none),
		ReadOnly:            record.Unknown[bool](none),
		SizeBytes:           s.r.Size(),
	}
	return nil
}

// container is what the image says of itself, but for its words.
func (s *e01) container() record.Container {
	none := "it states none"
	if m := s.r.Missing(); m != nil && m.Tail {
		none = "the segment that would state it is missing"
	} else if s.r.Stored().Damaged {
		none = "a section that states digests is damaged"
	}
	c := record.Container{
		ChunkBytes: s.r.ChunkBytes(), Format: record.FormatE01, Segments: int64(len(s.r.Segments())),
		Header: record.Unknown[record.Personal]("it has none"), SetID: record.Unknown[string]("it has none"),
		MD5: storedDigest(record.MD5, s.r.Stored().MD5, none), SHA1: storedDigest(record.SHA1, s.r.Stored().SHA1, none),
	}
	if id := s.r.Volume().SetID; id != [16]byte{} {
		c.SetID = record.Known(hex.EncodeToString(id[:]))
	}
	for _, u := range s.r.Unread() {
		c.Unread.Ranges++
		c.Unread.Bytes += u.Sectors * s.r.SectorBytes()
	}
	return c
}

func storedDigest(alg record.Algorithm, sum []byte, none string) record.Fact[record.StoredDigest] {
	d, err := record.NewDigest(alg, sum)
	if err != nil {
		return record.Unknown[record.StoredDigest](none)
	}
	return record.Known(record.StoredDigest{Digest: d, Held: record.Unknown[bool]("it is compared when all is read")})
}

// maxImageNotes are taken over of what was odd about an image. The rest is counted.
const maxImageNotes = 20

// addNotes tells what was tolerated. A file's name may be a person's, so segments are numbered.
func (s *e01) addNotes() {
	if m := s.r.Missing(); m != nil {
		s.now.Notes = append(s.now.Notes, "of the image, "+m.String())
	}
	notes := s.r.Notes()
	for i, n := range notes {
		if i == maxImageNotes {
			s.now.Notes = append(s.now.Notes, fmt.Sprintf("and %d more peculiarities of the image", len(notes)-i))
			return
		}
		at := slices.IndexFunc(s.r.Segments(), func(f ewf.Segment) bool { return f.Name == n.Segment })
		s.now.Notes = append(s.now.Notes, fmt.Sprintf("of the image, segment %d, byte %d: %s", at+1, n.Offset, n.Text))
	}
}

// headerText is what the image says about itself in words, a line each.
func (s *e01) headerText() string {
	h := s.r.Header()
	var b strings.Builder
	line := func(name, value string) {
		if text := record.DeviceText([]byte(value)); text != "" {
			b.WriteString(name + ": " + text + "\n")
		}
	}
	line("case number", h.Case)
	line("evidence number", h.Evidence)
	line("description", h.Description)
	line("examiner", h.Examiner)
	line("notes", h.Notes)
	line("model", h.Model)
	line("serial number", h.Serial)
	line("label", h.Label)
	line("software version", h.AcquiredSoftwareVersion)
	line("operating system", h.OS)
	layout := time.RFC3339
	if h.LocalTimes {
		layout = "2006-01-02T15:04:05 (the time zone is not known)"
	}
	for _, t := range []struct {
		name string
		at   time.Time
	}{{"acquired", h.Acquired}, {"system's clock", h.System}} {
		if !t.at.IsZero() {
			line(t.name, t.at.UTC().Format(layout))
		}
	}
	return b.String()
}

func (s *e01) read(p []byte, off int64) (int, error) {
	if off == s.r.Size() {
		if err := s.checkEnd(); err != nil {
			return 0, err
		}
		return 0, io.EOF
	}
	n, err := s.fill(p, off)
	if n > 0 { // what stands before a bad chunk; the next read begins there
		return n, nil
	}
	return 0, err
}

func (s *e01) readAt(p []byte, off int64) (int, error) {
	p = p[:min(int64(len(p)), s.r.Size()-off)]
	if n, err := s.fill(p, off); err != nil {
		return n, err
	}
	return len(p), nil
}

// fill reads until p is full, or up to a chunk that cannot be read.
func (s *e01) fill(p []byte, off int64) (int, error) {
	s.mu.Lock()
	defer s.unlock()
	if s.closed.Load() {
		return 0, fmt.Errorf("read %q: %w", s.path, os.ErrClosed)
	}
	p = p[:min(int64(len(p)), s.r.Size()-off)]
	if d := s.damaged; d != nil && off/s.r.ChunkBytes() == d.Chunk {
		return 0, s.badChunk(int64(len(p)), off, d)
	}
	n, err := s.r.ReadAt(p, off)
	if n == len(p) {
		return n, nil
	}
	return n, s.readError(int64(len(p)-n), off+int64(n), err)
}

// badChunk is the part of a read that lies in the chunk at off.
func (s *e01) badChunk(length, off int64, cause error) *ReadError {
	size := s.r.ChunkBytes()
	return &ReadError{Path: s.path, Offset: off, SizeBytes: min(length, (off/size+1)*size-off), Err: cause}
}

// readError tells a chunk that cannot be read from an image that is gone or was changed.
func (s *e01) readError(length, off int64, cause error) error {
	at := fmt.Sprintf("read %d bytes at offset %d of the medium in %q", length, off, s.path)
	if err := s.changed(); err != nil {
		return fmt.Errorf("%s: %w; then %w", at, cause, err)
	}
	if d, ok := errors.AsType[*ewf.DamageError](cause); ok {
		s.damaged = d
		return s.badChunk(length, off, d)
	}
	if errors.Is(cause, ewf.ErrChanged) {
		return fmt.Errorf("%s: %w: %w", at, cause, ErrMediumChanged)
	}
	return sortError(at, cause, s.badChunk(length, off, cause))
}

// changed asks whether the files are what they were when they were opened.
func (s *e01) changed() error {
	err := s.r.Unchanged()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ewf.ErrChanged):
		return fmt.Errorf("%w: %w", err, ErrMediumChanged)
	}
	return fmt.Errorf("%w: %w", err, ErrLost)
}

func (s *e01) checkEnd() error { return s.changed() }

func (s *e01) checkDestination(dir string) error {
	return s.host.checkDestination(dir, func() ([]node, error) { return s.places, nil })
}

func (s *e01) describe() record.Medium { return s.about }

func (s *e01) state() State { return s.now }

func (s *e01) size() int64 { return s.r.Size() }

func (s *e01) sectorBytes() int64 { return s.r.SectorBytes() }

func (s *e01) close() error {
	if !s.closed.CompareAndSwap(false, true) {
		return os.ErrClosed
	}
	if !s.mu.TryLock() {
		return nil // a read that nobody waits for is under way, and closes it
	}
	defer s.mu.Unlock()
	return s.r.Close()
}

// unlock closes the image if that was asked for meanwhile.
func (s *e01) unlock() {
	s.mu.Unlock()
	if s.closed.Load() && s.mu.TryLock() {
		_ = s.r.Close() // the files were only read
		s.mu.Unlock()
	}
}

// isImage looks at the first bytes of a file. One that does not give them is a medium with a bad place there.
func (d *disk) isImage() bool {
	b := make([]byte, ewf.SignatureBytes)
	n, err := d.pread(b, 0)
	return err == nil && (ewf.Begins(b[:n]) || ewf.Foreign(b[:n]) != "")
}
