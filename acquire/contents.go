package acquire

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/exhibit-forensics/exhibit/acquire/image"
	"github.com/exhibit-forensics/exhibit/acquire/medium/contents"
	"github.com/exhibit-forensics/exhibit/custody/record"
)

// contentsPointer is where the contents stand in the predicate.
const contentsPointer = "/acquisition/contents"

// lookAtContents puts into the record what lies on the medium. It reads the image, which is the same by now: a failing
// medium is spared the reads.
func (r *run) lookAtContents(ctx context.Context) error {
	img, err := r.openImage()
	if err != nil {
		return err
	}
	defer img.Close() //nolint:errcheck // opened for reading only
	src := io.ReaderAt(img)
	if r.rescue != nil && r.rescue.m != nil {
		src = &unreadAt{img, r.rescue.m}
	} else if r.acq.Mode == record.ModeInPlace {
		m, err := r.inPlace.asMap()
		if err != nil {
			return err
		}
		src = &unreadAt{img, m}
	}
	sector, _ := r.acq.Medium.LogicalSectorBytes.Get()
	found := contents.Look(ctx, src, r.size, sector)
	if err := ctx.Err(); err != nil {
		return err
	}
	c, err := found.Commit(rand.Reader, &r.opts.Openings, contentsPointer)
	if err != nil {
		return fmt.Errorf("what lies on the medium: %w", err)
	}
	r.acq.Contents = record.Known(c)
	return nil
}

// openImage opens the image of the first destination where it can be opened. The format is known: a raw image may begin as an
// E01 does.
func (r *run) openImage() (*image.Reader, error) {
	open := image.OpenRaw
	if r.e01() {
		open = image.OpenE01
	}
	for _, d := range r.alive() {
		var names []string
		for _, s := range d.segments {
			names = append(names, s.Name)
		}
		img, err := open(d.root.FS(), names)
		if err == nil {
			return img, nil
		}
		if err := r.lose(d, err); err != nil {
			return nil, err
		}
	}
	return nil, errors.New("no destination is left")
}

// unreadAt answers with an error where the medium gave nothing: the zeros there say nothing about it.
type unreadAt struct {
	io.ReaderAt
	m *image.Map
}

func (u *unreadAt) ReadAt(p []byte, off int64) (int, error) {
	end := min(off+int64(len(p)), u.m.Size())
	for at := off; at >= 0 && at < end; {
		part := u.m.At(at)
		if part.Status != image.Finished {
			return 0, fmt.Errorf("the medium did not give the bytes at %d: %w", at, syscall.EIO)
		}
		at = part.End()
	}
	return u.ReaderAt.ReadAt(p, off)
}
