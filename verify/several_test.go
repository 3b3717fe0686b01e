package verify

import (
	"maps"
	"strings"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
)

// takeIn logs that f took in the checkpoint of another log, of that size.
func (f *forge) takeIn(of *forge, size int64) {
	f.append(f.person, must(record.Encode(&record.Anchored{Checkpoint: string(of.checkpoints[size]), Genesis: of.fingerprint(), Log: f.header("none").Log,
		Origin: of.origin, Size: size, Time: testTime})), nil)
	f.publish()
}

// A checkpoint that was taken in of a log which nothing says to belong to the case is not compared, and that is said; of a log with
// another genesis, or of one that is not here, it is said what differs or lacks.
func TestTakenInWithoutJoining(t *testing.T) {
	tests := map[string]struct {
		here func(other, stranger *forge) *forge // whose log lies in the folder; nil: none
		exit int
		want string
	}{
		"not joined": {func(o, _ *forge) *forge { return o }, ExitUnknown, "took in a log that was not opened beside this one; it was not compared"},
		"not here":   {func(_, _ *forge) *forge { return nil }, ExitUnknown, "the log is not here, of which entry 5"},
		"another genesis": {func(o, s *forge) *forge {
			s.origin = o.origin // the same name, other keys
			return s
		}, ExitMismatch, "took in a log of this name with another genesis"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f, other := smallCase(t), newForge(t)
			other.seize("1")
			f.takeIn(other, other.newest())
			stranger := newForge(t)
			m := f.build()
			if here := tt.here(other, stranger); here != nil {
				for file, b := range here.build() {
					if strings.HasPrefix(file, "keys/") {
						m[file] = b
					} else if rest, ok := strings.CutPrefix(file, "logs/"); ok {
						m["logs/"+other.origin+rest[strings.IndexByte(rest, '/'):]] = b
					}
				}
			}
			policy := f.policy()
			policy.Trust = append(policy.Trust, trusting(other.fingerprint()).Trust...)
			r := check(t, maps.Clone(m).fs(""), "", policy, tt.exit)
			text := ""
			for _, finding := range r.Lines[3].Findings {
				text += finding.Text + "\n"
			}
			if !strings.Contains(text, tt.want) {
				t.Errorf("line 4 says %q, want %q\n%s", text, tt.want, show(r))
			}
		})
	}
}
