package acquire_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/exhibit-forensics/exhibit/acquire"
	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/durable"
	"github.com/exhibit-forensics/exhibit/internal/faultdisk"
	"github.com/exhibit-forensics/exhibit/internal/testtool"
)

// copy makes the copy of a job.
func (j *job) copy(ctx context.Context) (record.Copy, error) {
	from, err := durable.OpenRoot(partial(j.CopyOf))
	if err != nil {
		return record.Copy{}, err
	}
	defer from.Close()
	un, err := acquire.ReadUnsigned(from)
	if err != nil {
		return record.Copy{}, err
	}
	root, err := durable.OpenRootFaults(j.Dirs[0], j.hooks[j.Dirs[0]])
	if err != nil {
		return record.Copy{}, err
	}
	defer root.Close()
	opts := copyOptions(&testing.T{}, 0, j.Format)
	opts.ID, opts.SegmentBytes = j.CopyID, j.Segment
	source := acquire.CopySource{FS: from.FS(), Image: un.Acquisition.Image(), Medium: un.Acquisition.Medium, Acquired: un.Acquisition.Started}
	return acquire.Copy(ctx, source, acquire.Destination{Root: root, Dir: j.Dirs[0]}, opts)
}

// A copy that is killed at any call that changes a disk leaves a folder that is called .partial, that nothing takes for an
// image, a copy or an acquisition, and that is in the way of no second run; the original is what it was.
func TestCopyKill9(t *testing.T) {
	testtool.NeedRoot(t)
	disk := faultdisk.New(t, faultdisk.Options{SizeBytes: 5 * mib})
	bad := []faultdisk.Range{{First: 100, Count: 9}, {First: 9000, Count: 1}}
	disk.Bad(bad...)
	dir := memoryDir(t)
	a, err := acquire.Acquire(t.Context(), openMedium(t, disk.Path()), []acquire.Destination{destination(t, dir)}, rescueOptions(t))
	if err != nil {
		t.Fatal(err)
	}
	want, from := truth(t, disk, bad), acquiredCopy(t, dir, a.Acquisition)
	points := 10
	if os.Getenv("EXHIBIT_SOAK") == "1" {
		points = 1000
	}
	for _, format := range []string{record.FormatE01, record.FormatRaw} {
		j := job{CopyOf: dir, Format: format, Segment: 2 * mib, Dirs: []string{memoryDir(t)}, CopyID: "20261124T081500Z-00000001"}
		calls, killed := j.process(t)
		if killed || calls < 20 {
			t.Fatalf("undisturbed: killed %t, %d calls", killed, calls)
		}
		for point := range int64(points) {
			j.KillAt = 1 + point*(calls-1)/int64(points-1)
			if point > 0 && j.KillAt == 1+(point-1)*(calls-1)/int64(points-1) {
				continue
			}
			t.Run(fmt.Sprintf("%s, before call %d of %d", format, j.KillAt, calls), func(t *testing.T) {
				j := j
				j.Dirs = []string{memoryDir(t)}
				if _, killed := j.process(t); !killed {
					t.Fatal("it lived")
				}
				checkKilledCopy(t, j.Dirs[0], j.CopyID)
				opts := copyOptions(t, 2, format)
				opts.SegmentBytes = j.Segment
				m, err := from.run(t, t.Context(), j.Dirs[0], opts)
				if err != nil || m.Unread != a.Unread {
					t.Fatalf("a second run: unread %+v, %v", m.Unread, err)
				}
			})
		}
	}
	if got := readFile(t, from.dir, "7%2Fa.raw"); !bytes.Equal(got, want) {
		t.Error("the original is not what it was")
	}
}

// checkKilledCopy requires what is left to be called partial, and to be nothing that could be gone on from or sealed.
func checkKilledCopy(t *testing.T, dir, id string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if len(names) == 0 {
		return // killed before the folder was made
	}
	if !slices.Equal(names, []string{id + ".partial"}) {
		t.Fatalf("what is left: %q", names)
	}
	root := destination(t, dir).Root
	files := acquire.SealFiles{Statement: []byte("s"), Proof: []byte("p"), Genesis: []byte("g")}
	if err := acquire.Seal(root, id, files); !errors.Is(err, acquire.ErrUnfinished) {
		t.Errorf("sealed as an acquisition: %v, want %v", err, acquire.ErrUnfinished)
	}
	left := destination(t, dir+"/"+id+".partial").Root
	if _, err := acquire.ReadState(left); !errors.Is(err, acquire.ErrNotResumable) {
		t.Errorf("ReadState: %v, want %v", err, acquire.ErrNotResumable)
	}
	if _, err := acquire.ReadUnsigned(left); !errors.Is(err, acquire.ErrUnfinished) {
		t.Errorf("ReadUnsigned: %v, want %v", err, acquire.ErrUnfinished)
	}
}
