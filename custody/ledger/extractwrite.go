package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// ErrNoEvents says that a log has no event of an exhibit.
var ErrNoEvents = errors.New("the log has no event of the exhibit")

// ErrBeyond says that a size lies beyond the log's.
var ErrBeyond = errors.New("the log does not have so many entries")

// WriteExtract hands the files of an extract to write: one exhibit's entries of the log at l's checkpoint, each with its inclusion
// proof, and what shows who may sign them. from are sizes to prove consistency with, beside those of the newest checkpoints.
// reveal is as in Export; openings of other exhibits are never handed on.
func (l *Log) WriteExtract(exhibit string, from []int64, reveal Reveal, write func(name string, data []byte) error) (Manifest, error) {
	m := Manifest{Exhibit: exhibit, Format: extractFormat, Origin: l.origin, Size: l.Size()}
	for i := int64(1); i < l.Size(); i++ {
		h, err := l.eventHeader(i)
		if err != nil {
			return Manifest{}, fmt.Errorf("log entry %d: %w", i, err)
		}
		if h != nil && h.Exhibit == exhibit {
			m.Events = append(m.Events, i)
		}
	}
	if len(m.Events) == 0 {
		return Manifest{}, fmt.Errorf("exhibit %q: %w", exhibit, ErrNoEvents)
	}
	m.Count, m.Last = int64(len(m.Events)), m.Events[len(m.Events)-1]
	if n := slices.Max(append(slices.Clone(from), 0)); n > l.Size() {
		return Manifest{}, fmt.Errorf("size %d: %w", n, ErrBeyond)
	}
	sizes, err := checkpointSizes(l.dir)
	if err != nil {
		return Manifest{}, err
	}
	sizes = slices.DeleteFunc(sizes, func(n int64) bool { return n > l.Size() })
	sizes = append(sizes[max(0, len(sizes)-maxExtractFrom/2):], from...)
	slices.Sort(sizes)
	m.From = slices.Compact(sizes)
	for _, c := range l.keys.Changes() {
		m.Keys = append(m.Keys, c.Index)
	}
	b, err := m.encode()
	if err != nil {
		return Manifest{}, err
	}
	if err := write(layout.ExtractManifest, b); err != nil {
		return Manifest{}, err
	}
	if err := l.extractFiles(m, reveal, write); err != nil {
		return Manifest{}, err
	}
	return m, write(layout.Checkpoint, l.note)
}

func (l *Log) eventHeader(i int64) (*record.Header, error) {
	_, p, err := readLogged(l.dir, i)
	if err != nil {
		return nil, err
	}
	if ev, ok := p.(record.Event); ok {
		return ev.Header(), nil
	}
	return nil, nil
}

func (l *Log) extractFiles(m Manifest, reveal Reveal, write func(string, []byte) error) error {
	only := func(i int64, p record.Predicate, openings []byte) ([]byte, error) {
		ev, event := p.(record.Event)
		switch {
		case event && ev.Header().Exhibit != m.Exhibit:
			return nil, nil
		case reveal == nil:
			return openings, nil
		}
		return reveal(i, p, openings)
	}
	for _, i := range m.entries() {
		if err := l.exportStatement(i, only, write); err != nil {
			return fmt.Errorf("log entry %d: %w", i, err)
		}
		b, err := l.EncodeProof(i)
		if err == nil {
			err = write(layout.InclusionFile(i), b)
		}
		if err != nil {
			return err
		}
	}
	for _, size := range m.From {
		hashes, err := l.ProveConsistency(size)
		if err == nil {
			err = write(layout.ConsistencyFile(size), encodeHashes(hashes))
		}
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("consistency with size %d: %w", size, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
