package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/exhibit-forensics/exhibit/acquire"
)

type phaseDocument struct {
	Phase        string         `json:"phase"`
	Microseconds int64          `json:"microseconds"`
	Parts        []partDocument `json:"parts"`
}

type partDocument struct {
	Part         string `json:"part"`
	Microseconds int64  `json:"microseconds"`
	SizeBytes    int64  `json:"sizeBytes"`
}

// newStats is nil unless somebody asked.
func (o *acquireOptions) newStats() *acquire.Stats {
	if !o.stats {
		return nil
	}
	return new(acquire.Stats)
}

// statsDocument is not nil for one who asked, though nothing was left to measure.
func statsDocument(s *acquire.Stats) []phaseDocument {
	if s == nil {
		return nil
	}
	out := []phaseDocument{}
	for _, p := range s.Phases() {
		d := phaseDocument{p.Phase, p.Elapsed.Microseconds(), []partDocument{}}
		for _, part := range p.Parts {
			d.Parts = append(d.Parts, partDocument{part.Part, part.Busy.Microseconds(), part.SizeBytes})
		}
		out = append(out, d)
	}
	return out
}

func printStats(u *ui, phases []phaseDocument) {
	for _, p := range phases {
		line := fmt.Sprintf("Time:      %s %s", p.Phase, seconds(p.Microseconds))
		var parts []string
		for _, part := range p.Parts {
			parts = append(parts, part.Part+" "+seconds(part.Microseconds))
		}
		if len(parts) > 0 {
			line += "; busy: " + strings.Join(parts, ", ")
		}
		u.linef("%s", line)
	}
}

func seconds(microseconds int64) string {
	return fmt.Sprintf("%.3f s", (time.Duration(microseconds) * time.Microsecond).Seconds())
}
