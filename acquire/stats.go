package acquire

import (
	"slices"
	"sync"
	"time"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/pass"
)

// Stats adds up where the time of an acquisition goes, for who wants to make it faster: Options.Stats. It changes nothing
// and stands in no record. The zero Stats is ready for use, by one acquisition; a nil one costs no look at a clock.
type Stats struct {
	mu     sync.Mutex
	phases []PhaseStats
	begun  time.Time // the last phase; zero when it has ended
}

// PhaseStats is one phase, as Progress has it.
type PhaseStats struct {
	Phase   string
	Elapsed time.Duration
	Parts   []PartStats // in the order in which they were first seen
}

// PartStats is what one part of the work took. Parts work at the same time, and wait for each other.
type PartStats struct {
	// Part is PartRead ... PartSync, or the algorithm of a digest.
	Part string
	// Busy is how long its goroutines were in the calls that do the work, all of them together; where the system let another
	// program run meanwhile, that too.
	Busy time.Duration
	// SizeBytes is how many bytes it took. 0 of PartWait and PartSync.
	SizeBytes int64
}

// The parts beside the digests. The tree's part is record.BLAKE3.
const (
	PartRead    = "read"    // from the medium; in a re-read from the image, of an E01 with decompressing it
	PartWait    = "wait"    // the reader's waiting for the others: none if the medium is the slowest
	PartDeflate = "deflate" // of an E01; by the clock of one goroutine that others help
	PartWrite   = "write"   // into the image
	PartSync    = "sync"    // of what was written to the disk, beside the reading; and at its end
	PartFiles   = "files"   // the digests of the files of an E01, both
)

// Phases returns what was measured until now.
func (s *Stats) Phases() []PhaseStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := slices.Clone(s.phases)
	for i := range out {
		out[i].Parts = slices.Clone(out[i].Parts)
	}
	return out
}

// phase ends the phase before it. The name "" begins none.
func (s *Stats) phase(name string) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if !s.begun.IsZero() {
		s.phases[len(s.phases)-1].Elapsed = now.Sub(s.begun)
		s.begun = time.Time{}
	}
	if name != "" {
		s.phases = append(s.phases, PhaseStats{Phase: name})
		s.begun = now
	}
}

// clock is the time, if it is measured.
func (s *Stats) clock() (now time.Time) {
	if s != nil {
		now = time.Now()
	}
	return now
}

// since adds the time since clock gave begun, and returns what it is now.
func (s *Stats) since(begun time.Time, part string, sizeBytes int) (now time.Time) {
	if s != nil {
		now = time.Now()
		s.add(part, now.Sub(begun), sizeBytes)
	}
	return now
}

func (s *Stats) add(part string, took time.Duration, sizeBytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.phases) == 0 {
		return
	}
	p := &s.phases[len(s.phases)-1]
	i := slices.IndexFunc(p.Parts, func(p PartStats) bool { return p.Part == part })
	if i < 0 {
		i = len(p.Parts)
		p.Parts = append(p.Parts, PartStats{Part: part})
	}
	p.Parts[i].Busy += took
	p.Parts[i].SizeBytes += int64(sizeBytes)
}

// ofPass is what a pass tells. sinks are the names of its sinks, "" for one that measures itself.
func (s *Stats) ofPass(hashes []record.Algorithm, sinks ...string) func(pass.Part, int, time.Duration, int) {
	if s == nil {
		return nil
	}
	return func(part pass.Part, i int, took time.Duration, sizeBytes int) {
		name := string(record.BLAKE3)
		switch part {
		case pass.PartRead:
			name = PartRead
		case pass.PartWait:
			name = PartWait
		case pass.PartHash:
			name = string(hashes[i])
		case pass.PartSink:
			if name = sinks[i]; name == "" {
				return
			}
		}
		s.add(name, took, sizeBytes)
	}
}

// ofFiles is what a pass over the files of an E01 tells, of which only the hashing is of interest.
func (s *Stats) ofFiles() func(pass.Part, int, time.Duration, int) {
	if s == nil {
		return nil
	}
	return func(part pass.Part, _ int, took time.Duration, sizeBytes int) {
		switch part {
		case pass.PartHash:
			s.add(PartFiles, took, sizeBytes)
		case pass.PartSink: // the same bytes again
			s.add(PartFiles, took, 0)
		}
	}
}
