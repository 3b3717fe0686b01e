package acquire_test

import (
	"path/filepath"
	"testing"

	"github.com/exhibit-forensics/exhibit/acquire"
	"github.com/exhibit-forensics/exhibit/custody/record"
)

// Each part is told with the bytes that it took, in the phase that it worked in.
func TestStats(t *testing.T) {
	const size = 3*mib + 512
	for _, format := range []string{record.FormatRaw, record.FormatE01} {
		opts := options(t)
		opts.Format, opts.Extra, opts.Stats = format, []record.Algorithm{record.MD5}, new(acquire.Stats)
		a := acquireE01(t, writeFile(t, filepath.Join(t.TempDir(), "medium"), content(size)), opts, memoryDir(t))
		var image int64
		for _, f := range a.Files {
			if f.Role == record.RoleImage {
				image += f.SizeBytes
			}
		}
		want := map[string]map[string]int64{
			acquire.PhaseReading: {acquire.PartRead: size, acquire.PartWait: 0, "blake3": size, "sha256": size, "md5": size, acquire.PartWrite: size,
				acquire.PartSync: 0},
			acquire.PhaseRereading: {acquire.PartRead: size, acquire.PartWait: 0, "blake3": size, "sha256": size},
			acquire.PhaseFinishing: {},
		}
		if format == record.FormatE01 {
			want[acquire.PhaseReading][acquire.PartDeflate] = size
			want[acquire.PhaseRereading][acquire.PartFiles] = image
		}
		phases := opts.Stats.Phases()
		if len(phases) != len(want) {
			t.Errorf("%s: %d phases, want %d", format, len(phases), len(want))
		}
		for _, p := range phases {
			checkParts(t, format, p, want[p.Phase])
		}
	}
}

func checkParts(t *testing.T, format string, p acquire.PhaseStats, want map[string]int64) {
	t.Helper()
	if p.Elapsed <= 0 || len(p.Parts) != len(want) {
		t.Errorf("%s: phase %q took %v and has the parts %v, want %v", format, p.Phase, p.Elapsed, p.Parts, want)
	}
	for _, part := range p.Parts {
		if n, ok := want[part.Part]; !ok || n != part.SizeBytes || part.Busy < 0 {
			t.Errorf("%s, %s: %+v, want %d bytes (known: %t)", format, p.Phase, part, n, ok)
		}
	}
}
