package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/exhibit-forensics/exhibit/custody"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// despiteUsage is the help of the flag by which an image is given out under a restriction.
const despiteUsage = "do it although a restriction of the exhibit forbids it, for this `REASON`; the log gets no event of it"

// mayGiveOut refuses to write the bytes of an image of an exhibit on which a restriction lies, as far as the case that the image lies
// in, or that was named, says so. dir is the image's folder, absolute and with links followed; an empty exhibit is the one whose folder it lies in. A case that cannot be read
// forbids it too: what it would say is not known. Of a folder that lies in no case nobody can tell.
func mayGiveOut(u *ui, dir, exhibit, caseDir, despite string) error {
	if caseDir == "" {
		caseDir = filepath.Dir(filepath.Dir(filepath.Dir(dir)))
		if _, err := os.Lstat(filepath.Join(caseDir, layout.CaseFile)); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	}
	if exhibit == "" {
		number, err := layout.Decode(filepath.Base(filepath.Dir(dir)))
		if err != nil {
			return fmt.Errorf("which exhibit the image in %q is of cannot be told: %w", dir, err)
		}
		exhibit = number
	}
	err := unrestrictedIn(caseDir, exhibit)
	if err == nil {
		return nil
	}
	if despite == "" {
		return withHints(err, append(hintsFor(err), "if it must be so all the same, give the reason with --despite REASON")...)
	}
	u.notef("done despite this, because %q: %s", despite, clean(err.Error()))
	u.notef("the log has no event of it: log who got the bytes with exhibit custody copy, inspect or disclose, and --despite")
	return nil
}

func unrestrictedIn(caseDir, exhibit string) error {
	c, err := custody.Open(caseDir)
	if err != nil {
		return fmt.Errorf("see whether a restriction forbids it: %w", err)
	}
	defer c.Close() //nolint:errcheck // opened for reading
	return unrestricted(c, exhibit)
}

// folderOf is the folder that path names, or that the file which it names lies in: absolute, and with links followed.
func folderOf(path string, isDir bool) (string, error) {
	dir, err := filepath.Abs(path)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil || isDir {
		return dir, err
	}
	return filepath.Dir(dir), nil
}
