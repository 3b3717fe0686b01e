package custody

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/exhibit-forensics/exhibit/custody/ledger"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/custody/sign"
	"github.com/exhibit-forensics/exhibit/custody/state"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// stepsType is the first line of a file of steps, but for its end, and what the key of its HMAC is for.
const stepsType = "exhibit-steps/v1"

const (
	// maxSteps bounds a file of steps, in bytes. A log that would pass it is read whole by each append.
	maxSteps = 64 << 20
	// stepsBehind is how many statements of a log its file of steps may lack before it is written anew.
	stepsBehind = 32
)

// What a step is, in a file of steps. An event may answer, and is no anchor.
const (
	stepOther   = 0
	stepEvent   = 1
	stepAnswers = 3
	stepAnchor  = 4
)

// steps are what the order of events needs of a log's first size entries: a cache of a writer's, see docs/format.md, 9.3.
type steps struct {
	size     int64
	steps    []state.Step // of the statements but the genesis
	exhibits []string     // of each; empty where it is no event
}

func newSteps() *steps { return &steps{size: 1} }

// add takes in the log's next statement.
func (s *steps) add(e Entry) {
	exhibit := ""
	if ev, ok := e.Predicate.(record.Event); ok {
		exhibit = ev.Header().Exhibit
	}
	s.steps, s.exhibits = append(s.steps, state.StepOf(e.Index, e.Leaf, e.Predicate)), append(s.exhibits, exhibit)
	s.size++
}

// mergedByCache is merged of one exhibit for an append under the home log's lock: it reads the exhibit's events alone, and
// what it needs to order them of the others from the files of steps. What is missing there is read from the log.
func (c *Case) mergedByCache(held []Held, exhibit string, key sign.LogSigner) ([]Entry, error) {
	secret, err := key.Secret(c.genesis.Origin, stepsType)
	if err != nil {
		return nil, err
	}
	sequences, known, logs := make([]state.Sequence, len(held)), make([]*steps, len(held)), make([]*ledger.Log, len(held))
	for i, h := range held {
		if logs[i], err = c.openHeld(h); err != nil {
			return nil, err
		}
		if known[i], err = c.followSteps(logs[i], secret); err != nil {
			return nil, fmt.Errorf("log %s: %w", h.Origin, err)
		}
		sequences[i] = state.SequenceOf(h.Genesis)
		sequences[i].Steps = known[i].steps
	}
	extra, err := c.withExtracts(held, &sequences)
	if err != nil {
		return nil, err
	}
	order, err := orderOf(sequences)
	if err != nil {
		return nil, err
	}
	var out []Entry
	for _, p := range order {
		if e, ok := extra[p]; ok {
			if e.of(exhibit) {
				out = append(out, e)
			}
			continue
		}
		if known[p.Log].exhibits[p.Step] != exhibit {
			continue
		}
		e, err := readEntry(logs[p.Log], known[p.Log].steps[p.Step].Index)
		if err == nil && !e.of(exhibit) {
			err = fmt.Errorf("log entry %d: %w: it is of another exhibit", e.Index, record.ErrMalformed)
		}
		if err != nil {
			return nil, fmt.Errorf("log %s: %w", held[p.Log].Origin, err)
		}
		if p.Log > 0 {
			e.Log = held[p.Log].Origin
		}
		out = append(out, e)
	}
	return out, nil
}

// followSteps returns the steps of a log, and keeps them when many were new.
func (c *Case) followSteps(l *ledger.Log, secret []byte) (*steps, error) {
	s := c.loadSteps(l, secret)
	from := s.size
	for s.size < l.Size() {
		e, err := readEntry(l, s.size)
		if err != nil {
			return nil, err
		}
		s.add(e)
	}
	if s.size-from < stepsBehind {
		return s, nil
	}
	b := s.encode(l.Origin(), sha256.Sum256(l.Checkpoint()), secret)
	if len(b) > maxSteps {
		return s, nil
	}
	dir := layout.LogDir(c.genesis.Origin)
	if err := c.root.MkdirAll(dir + "/" + layout.HeadsDir); err != nil {
		return nil, err
	}
	return s, c.root.Replace(dir+"/"+layout.HeadsSteps(l.Origin()), b)
}

// loadSteps reads the file of steps of a log. It is used only if the holder of the home log's key wrote it of a checkpoint
// that the log still has. One that cannot be read, for whatever reason, is none: then all is read from the log.
func (c *Case) loadSteps(l *ledger.Log, secret []byte) *steps {
	b, err := c.root.ReadFile(layout.LogDir(c.genesis.Origin)+"/"+layout.HeadsSteps(l.Origin()), maxSteps)
	if err != nil {
		return newSteps()
	}
	s, checkpoint, err := parseSteps(b, l.Origin(), secret)
	if err != nil || s.size > l.Size() {
		return newSteps()
	}
	old := l
	if s.size < l.Size() {
		if old, err = l.At(s.size); err != nil {
			return newSteps()
		}
	}
	if sha256.Sum256(old.Checkpoint()) != checkpoint {
		return newSteps()
	}
	return s
}

func macOf(b, secret []byte) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write(b)
	return h.Sum(nil)
}

// encode makes the file of steps of the log of that name, under a checkpoint with that SHA-256.
func (s *steps) encode(origin string, checkpoint [sha256.Size]byte, secret []byte) []byte {
	b := []byte(stepsType + "\n" + origin + "\n")
	b = binary.BigEndian.AppendUint64(b, uint64(s.size))
	b = append(b, checkpoint[:]...)
	text := func(t string) { b = append(append(b, byte(len(t))), t...) } // a number of an exhibit or an origin, both short
	for i, st := range s.steps {
		kind := byte(stepOther)
		switch {
		case s.exhibits[i] != "" && st.Answers != nil:
			kind = stepAnswers
		case s.exhibits[i] != "":
			kind = stepEvent
		case st.Seen != "":
			kind = stepAnchor
		}
		b = append(append(b, kind), st.Leaf[:]...)
		switch kind {
		case stepEvent:
			text(s.exhibits[i])
		case stepAnswers:
			text(s.exhibits[i])
			b = append(b, st.Answers[:]...)
		case stepAnchor:
			text(st.Seen)
			b = binary.BigEndian.AppendUint64(b, uint64(st.Size))
		}
	}
	return append(b, macOf(b, secret)...)
}

// parseSteps reads the file of steps of the log of that name, and requires that secret was known to who wrote it.
//
//	file   = "exhibit-steps/v1" LF origin LF size checkpoint *step mac    ; size-1 steps
//	step   = %x00 leaf | %x01 leaf text | %x03 leaf text leaf | %x04 leaf text size
//	text   = its length in a byte, at least 1, and its bytes; size = 8 bytes, the most significant first
func parseSteps(b []byte, origin string, secret []byte) (*steps, [sha256.Size]byte, error) {
	fail := func(what string) (*steps, [sha256.Size]byte, error) {
		return nil, [sha256.Size]byte{}, fmt.Errorf("steps of log %s: %w: %s", origin, record.ErrMalformed, what)
	}
	end := len(b) - sha256.Size
	if end < 0 || !hmac.Equal(macOf(b[:end], secret), b[end:]) {
		return fail("not written with the log key")
	}
	rest, ok := bytes.CutPrefix(b[:end], []byte(stepsType+"\n"+origin+"\n"))
	if !ok {
		return fail("of another version or log")
	}
	r := stepReader{b: rest}
	size := r.size()
	checkpoint := r.hash()
	if r.failed || size > int64(len(r.b)/(1+sha256.Size))+1 {
		return fail("it is cut")
	}
	s := &steps{size: size, steps: make([]state.Step, size-1), exhibits: make([]string, size-1)}
	for i := range s.steps {
		s.steps[i], s.exhibits[i] = r.step()
		s.steps[i].Index = int64(i) + 1
	}
	if r.failed || len(r.b) > 0 {
		return fail("its steps are not in this form")
	}
	return s, checkpoint, nil
}

// stepReader takes a file of steps apart. After the first thing that is not as it must be, failed is set and nothing else
// counts.
type stepReader struct {
	b      []byte
	failed bool
}

func (r *stepReader) take(n int) []byte {
	if r.failed || n > len(r.b) {
		r.failed = true
		return make([]byte, n)
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *stepReader) hash() [sha256.Size]byte { return [sha256.Size]byte(r.take(sha256.Size)) }

// size reads that of a log.
func (r *stepReader) size() int64 {
	n := binary.BigEndian.Uint64(r.take(8))
	if n < 1 || n > layout.MaxLogSize {
		r.failed = true
		return 1
	}
	return int64(n)
}

func (r *stepReader) text(check func(string) bool) string {
	t := string(r.take(int(r.take(1)[0])))
	r.failed = r.failed || !check(t)
	return t
}

func (r *stepReader) step() (st state.Step, exhibit string) {
	isExhibit := func(t string) bool { return record.CheckExhibit(t) == nil }
	kind := r.take(1)[0]
	st.Leaf = r.hash()
	switch kind {
	case stepOther:
	case stepEvent:
		exhibit = r.text(isExhibit)
	case stepAnswers:
		exhibit = r.text(isExhibit)
		answers := record.LeafHash(r.hash())
		st.Answers = &answers
	case stepAnchor:
		st.Seen = r.text(record.ValidOrigin)
		st.Size = r.size()
	default:
		r.failed = true
	}
	return st, exhibit
}
