package ledger

import (
	"archive/zip"
	"fmt"
	"io"
	"strings"

	"github.com/exhibit-forensics/exhibit/custody/record"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// maxFolders is how deep a file of a log can lie: tile/<level>/<three parts of a number>/<fourth>.p/<width>.
const maxFolders = 6

// OpenArchive opens the one file in which a log is handed over, of size bytes, for OpenForeign. The list of what lies in it is
// held in memory, so it may take layout.MaxDirectory bytes of the file and no more. r must stay open as long as the files are
// read. A file that is no such archive is record.ErrMalformed.
func OpenArchive(r io.ReaderAt, size int64) (*zip.Reader, error) {
	if size > layout.MaxHandedOver {
		return nil, fmt.Errorf("%w: no log that was handed over: %d bytes, at most %d are allowed", record.ErrMalformed, size, int64(layout.MaxHandedOver))
	}
	limited := &directoryReader{r: r, left: layout.MaxDirectory}
	z, err := zip.NewReader(limited, size)
	if err != nil {
		return nil, fmt.Errorf("%w: no log that was handed over: %w", record.ErrMalformed, err)
	}
	for _, f := range z.File { // a name of many folders would be as many names
		if len(f.Name) > layout.MaxArchived || strings.Count(f.Name, "/") > maxFolders {
			return nil, fmt.Errorf("%w: no log that was handed over: a file in it is called %.80q, and so on", record.ErrMalformed, f.Name)
		}
	}
	limited.opened = true
	return z, nil
}

// directoryReader bounds what is read until the archive is opened: its list, which is counted nowhere else, for the number that
// an archive itself states need not be that of its names.
type directoryReader struct {
	r      io.ReaderAt
	left   int64
	opened bool
}

// ReadAt implements io.ReaderAt.
func (d *directoryReader) ReadAt(p []byte, off int64) (int, error) {
	if !d.opened {
		if d.left -= int64(len(p)); d.left < 0 {
			return 0, fmt.Errorf("the list of its files takes more than %d bytes", int64(layout.MaxDirectory))
		}
	}
	return d.r.ReadAt(p, off)
}
