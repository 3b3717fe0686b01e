package acquire_test

import (
	"fmt"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable"
)

// Without a re-read the record has the digests of every file as it lies there, though the destination whose files were
// followed is lost, or the run was interrupted, before whichever call.
func TestFollowedAndLost(t *testing.T) {
	data := compressible(3*mib + 512)
	path := writeFile(t, filepath.Join(t.TempDir(), "medium"), data)
	for dests := range 2 {
		j := job{Path: path, Dirs: make([]string, dests+1), Stretch: mib, Format: record.FormatE01, Segment: mib, Unread: true}
		calls := clean(t, j)
		for at := 3; at <= calls; at += 8 {
			t.Run(fmt.Sprintf("%d destinations, call %d of %d", dests+1, at, calls), func(t *testing.T) {
				j := j
				j.Dirs = nil
				for range dests + 1 {
					j.Dirs = append(j.Dirs, memoryDir(t))
				}
				b := &breaker{at: at, fault: syscall.EIO, forGood: true}
				j.hooks = map[string]durable.Hook{j.Dirs[0]: b.hook}
				seen := &phases{}
				j.progress = seen
				res, err := j.step(t.Context())
				if err != nil && len(seen.begun) == 0 { // nothing was read yet
					return
				}
				if err != nil && dests == 0 {
					j.hooks = nil
					res, err = j.step(t.Context())
				}
				if err != nil {
					t.Fatal(err)
				}
				last := j.Dirs[dests]
				sweep(t, last)
				checkFolder(t, partial(last), data, res.Acquisition)
			})
		}
	}
}
