package acquire

import (
	"bytes"
	"cmp"
	"encoding"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"slices"
	"strings"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/hashtree"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

const stateType = "exhibit-resume/v1"

// stateDomain opens what Options.Attest signs of a state.
const stateDomain = "exhibit-resume-v1\n"

// State is what an interrupted acquisition has to go on from: everything that it says is durable, is.
type State struct {
	Acquisition   record.Acquisition   `json:"acquisition"` // as far as it is known
	Cause         string               `json:"cause"`       // why the run ended; record.CauseUnknown while it runs
	Circumstances record.Circumstances `json:"circumstances"`
	Exhibit       string               `json:"exhibit"`
	Journal       SavedJournal         `json:"journal"`
	// Maps are, once a read has failed, the map that was written before this state and the one that is written after it:
	// one of them lies in the folder.
	Maps      []SavedMap      `json:"maps"`
	Midstates []Midstate      `json:"midstates"` // of SHA-256 and the extra digests, after SafeBytes
	Openings  record.Openings `json:"openings"`
	Phase     string          `json:"phase"`
	// Previous is SHA-256 of the first line of the state that was kept before this one; of the first state there is none. All
	// destinations hold what a state says before any of them gets it, so one that has the state before it is as good.
	Previous  []record.Digest `json:"previous"`
	SafeBytes int64           `json:"safeBytes"` // of the medium, from its start; in phase "rescuing" up to the first read error
	Saved     record.Time     `json:"saved"`
	Taken     []record.Digest `json:"taken"` // of the file that lists what is taken over from another image; none or one
	Type      string          `json:"type"`
	// Unread are, in the phase "reading", the ranges before SafeBytes that a reading in place could not read.
	Unread []Range `json:"unread"`
	// WritableBefore says that the medium is a device whose read-only flag was not set when the acquisition was begun: a run
	// that is killed cannot take the flag back, and the next one must (medium.Options.WasWritable).
	WritableBefore bool `json:"writableBefore"`

	file, signature []byte // as they were read
}

// SavedJournal is the beginning of the journal, as far as it was written before a state.
type SavedJournal struct {
	Digest    record.Digest `json:"digest"` // SHA-256
	SizeBytes int64         `json:"sizeBytes"`
}

// SavedMap is a map, and what goes with it.
type SavedMap struct {
	Digest         record.Digest `json:"digest"`         // of the file
	RecoveredBytes int64         `json:"recoveredBytes"` // that it calls finished and that were read on retry
}

// Midstate is a hash on its way, as Go's crypto packages marshal it.
type Midstate struct {
	Algorithm record.Algorithm `json:"algorithm"`
	State     string           `json:"state"` // hex
}

// ErrNotResumable says that a folder holds nothing from which reading can go on.
var ErrNotResumable = errors.New("the acquisition cannot be resumed")

// Attested returns what Options.Attest was asked to sign when the state was saved, and the signature that stands beside
// it. Who goes on must check it first: otherwise anyone who can write into the folder chooses what was read. Only
// ReadState fills it in.
func (s *State) Attested() (message, signature []byte) {
	return append([]byte(stateDomain), s.file...), s.signature
}

// ReadState reads from which place the acquisition in a .partial folder can be resumed. ErrNotResumable if it cannot;
// record.ErrMalformed or image.ErrPartial for what no run has left there.
func ReadState(root *durable.Root) (State, error) {
	b, err := root.ReadFile(layout.Resume, record.MaxJSON)
	if errors.Is(err, fs.ErrNotExist) {
		return State{}, fmt.Errorf("%w: %w", ErrNotResumable, err)
	}
	if err != nil {
		return State{}, damaged(err)
	}
	s, err := decodeState(b)
	if err != nil {
		return State{}, fmt.Errorf("%q in %q: %w", layout.Resume, root.Name(), err)
	}
	return s, nil
}

// decodeState reads one line of canonical JSON and one with the signature, which may be empty.
func decodeState(b []byte) (State, error) {
	line, rest, ok := bytes.Cut(b, []byte{'\n'})
	sig, after, ok2 := bytes.Cut(rest, []byte{'\n'})
	if !ok || !ok2 || len(after) > 0 || len(sig) > layout.MaxSignature {
		return State{}, fmt.Errorf("%w: it has not two lines", record.ErrMalformed)
	}
	var s State
	if err := record.DecodeTyped(line, stateType, &s); err != nil {
		return State{}, err
	}
	if err := s.validate(); err != nil {
		return State{}, err
	}
	signature, err := base64.StdEncoding.Strict().DecodeString(string(sig))
	if err != nil {
		return State{}, fmt.Errorf("%w: signature: %w", record.ErrMalformed, err)
	}
	s.file, s.signature = line, signature
	return s, nil
}

func (s *State) validate() error {
	a := &s.Acquisition
	if err := record.CheckExhibit(s.Exhibit); err != nil {
		return err
	}
	if !record.ValidAcquisitionID(a.ID) {
		return fmt.Errorf("%w: acquisition id %.60q", record.ErrMalformed, a.ID)
	}
	size := a.Medium.SizeBytes
	if s.SafeBytes < 0 || s.SafeBytes > size || s.SafeBytes%hashtree.GroupSize != 0 && s.SafeBytes != size {
		return fmt.Errorf("%w: %d safe bytes of %d", record.ErrMalformed, s.SafeBytes, size)
	}
	switch s.Phase {
	case PhaseReading, PhaseRescuing:
		if len(s.Midstates) != 1+len(a.Options.ExtraDigests) {
			return fmt.Errorf("%w: %d midstates", record.ErrMalformed, len(s.Midstates))
		}
	case PhaseRereading:
	default:
		return fmt.Errorf("phase %.40q is %w", s.Phase, record.ErrNewer)
	}
	if err := s.checkUnread(); err != nil {
		return err
	}
	rescued := a.Mode == record.ModeRescue || a.Mode == record.ModeInPlace && s.Phase == PhaseRereading
	if rescued != (len(s.Maps) > 0) || len(s.Maps) > 2 || s.Phase == PhaseRescuing && !rescued || s.Phase == PhaseReading && rescued {
		return fmt.Errorf("%w: %d maps in phase %q of mode %q", record.ErrMalformed, len(s.Maps), s.Phase, a.Mode)
	}
	if s.Journal.SizeBytes < 1 || s.Journal.SizeBytes > layout.MaxJournal || s.Journal.Digest.Algorithm() != record.SHA256 {
		return fmt.Errorf("%w: a journal of %d bytes", record.ErrMalformed, s.Journal.SizeBytes)
	}
	if taken := len(a.TakenOver); taken > 1 || taken != len(s.Taken) || taken > 0 && !rescued {
		return fmt.Errorf("%w: %d lists of %d images taken over in mode %q", record.ErrMalformed, len(s.Taken), taken, a.Mode)
	}
	if len(s.Previous) > 1 || len(s.Previous) == 1 && s.Previous[0].Algorithm() != record.SHA256 {
		return fmt.Errorf("%w: digest %v of the state before", record.ErrMalformed, s.Previous)
	}
	for _, d := range s.Taken {
		if d.Algorithm() != record.BLAKE3 {
			return fmt.Errorf("%w: a list of digest %s", record.ErrMalformed, d)
		}
	}
	for _, m := range s.Maps {
		if m.Digest.Algorithm() != record.BLAKE3 || m.RecoveredBytes < 0 || m.RecoveredBytes > size {
			return fmt.Errorf("%w: a map of digest %s with %d bytes", record.ErrMalformed, m.Digest, m.RecoveredBytes)
		}
	}
	if size < 0 || size > hashtree.MaxSize || len(a.Interruptions) != len(s.Circumstances.Resumptions) {
		return fmt.Errorf("%w: size %d, %d interruptions", record.ErrMalformed, size, len(a.Interruptions))
	}
	return s.Saved.Validate()
}

// checkUnread requires ranges in order and apart, of what a reading in place has read.
func (s *State) checkUnread() error {
	if len(s.Unread) > 0 && (s.Acquisition.Mode != record.ModeInPlace || s.Phase != PhaseReading) || len(s.Unread) > maxInPlace {
		return fmt.Errorf("%w: %d unread ranges in phase %q of mode %q", record.ErrMalformed, len(s.Unread), s.Phase, s.Acquisition.Mode)
	}
	end := int64(-1)
	for _, u := range s.Unread {
		if u.Offset <= end || u.SizeBytes <= 0 || u.SizeBytes > s.SafeBytes-u.Offset {
			return fmt.Errorf("%w: %d unread bytes at %d, %d are safe", record.ErrMalformed, u.SizeBytes, u.Offset, s.SafeBytes)
		}
		end = u.Offset + u.SizeBytes
	}
	return nil
}

// encode signs the state too.
func (s *State) encode(attest func([]byte) ([]byte, error)) ([]byte, error) {
	s.Type = stateType
	b, err := record.EncodeJSON(s)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", layout.Resume, err)
	}
	var signature []byte
	if attest != nil {
		if signature, err = attest(append([]byte(stateDomain), b...)); err != nil {
			return nil, fmt.Errorf("attest %q: %w", layout.Resume, err)
		}
	}
	s.file, s.signature = b, signature
	return s.bytes(), nil
}

// bytes is the file of a state that was read or encoded.
func (s *State) bytes() []byte {
	return fmt.Appendf(slices.Clone(s.file), "\n%s\n", base64.StdEncoding.EncodeToString(s.signature))
}

func (s *State) digest() record.Digest { return record.SHA256Of(s.file) }

// Behind compares the states at two destinations of one acquisition. 0: they are the same. 1: s is the one that newer took the
// place of, so all that newer says is durable where s lies, too. 2: s lies at a destination that was lost before. Negative: the
// same with the two exchanged. Both were read by ReadState.
func (s *State) Behind(newer *State) int {
	switch order := cmp.Or(cmp.Compare(s.Journal.SizeBytes, newer.Journal.SizeBytes), cmp.Compare(s.SafeBytes, newer.SafeBytes),
		strings.Compare(s.Saved.UTC, newer.Saved.UTC)); {
	case bytes.Equal(s.file, newer.file):
		return 0
	case slices.Contains(newer.Previous, s.digest()):
		return 1
	case slices.Contains(s.Previous, newer.digest()):
		return -1
	case order > 0:
		return -2
	}
	return 2
}

// algorithms are those of r.linear.
func (r *run) algorithms() []record.Algorithm {
	return append([]record.Algorithm{record.SHA256}, r.opts.Extra...)
}

func (r *run) midstates() ([]Midstate, error) {
	var out []Midstate
	for i, alg := range r.algorithms() {
		b, err := marshalHash(r.linear[i])
		if err != nil {
			return nil, fmt.Errorf("save the state of %s: %w", alg, err)
		}
		out = append(out, Midstate{alg, hex.EncodeToString(b)})
	}
	return out, nil
}

func marshalHash(h hash.Hash) ([]byte, error) {
	m, ok := h.(encoding.BinaryMarshaler)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return m.MarshalBinary()
}

// restore makes the hashes what they were when s was saved.
func (r *run) restore(s *State) error {
	for i, alg := range r.algorithms() {
		m := s.Midstates[i]
		b, err := hex.DecodeString(m.State)
		u, ok := r.linear[i].(encoding.BinaryUnmarshaler)
		if err == nil && ok && m.Algorithm == alg {
			err = u.UnmarshalBinary(b)
		}
		if err != nil || !ok || m.Algorithm != alg {
			return fmt.Errorf("%w: midstate of %.20q: %w", record.ErrMalformed, m.Algorithm, err)
		}
	}
	return nil
}

// state describes where the run is.
func (r *run) state(phase string) (*State, error) {
	s := &State{Acquisition: r.acq, Cause: record.CauseUnknown, Circumstances: r.opts.Circumstances, Exhibit: r.opts.Exhibit,
		Openings: r.opts.Openings, Phase: phase, SafeBytes: r.position, Saved: r.opts.Clock(), Journal: r.lines.saved()}
	s.Acquisition.Ended, s.WritableBefore = s.Saved, r.writable
	if r.taking != nil {
		s.Taken = []record.Digest{r.taking.digest}
	}
	if r.rescue != nil {
		s.SafeBytes, s.Midstates, s.Maps = r.rescue.first, r.rescue.midstates, r.rescue.maps
		return s, nil
	}
	if phase == PhaseRereading {
		s.Maps = r.mapped
		return s, nil
	}
	if r.inPlace != nil {
		s.Unread = r.inPlace.unread()
		s.Acquisition.Unread.RecoveredBytes = r.inPlace.recovered
	}
	var err error
	s.Midstates, err = r.midstates()
	return s, err
}

// keep writes a state to every destination, when all it says is durable there.
func (r *run) keep(s *State) error {
	s.Previous = r.previous
	b, err := s.encode(r.opts.Attest)
	if err != nil {
		return err
	}
	r.saved, r.previous = s, []record.Digest{s.digest()}
	return r.each(func(d *dest) error { return d.root.Replace(layout.Resume, b) })
}
