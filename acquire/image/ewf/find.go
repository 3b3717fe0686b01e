package ewf

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// Find returns the files of the image whose first file a person named, in order, for [Open]: of NAME.E01 those that
// follow beside it, NAME.E02 and so on, and of SMART's NAME.S01 likewise. A file with another extension is an image by
// itself. ErrSegments refuses the name of a later segment, and a name that is there in upper and lower case; ErrMissing a
// gap, if a file behind it is a segment by its first bytes: NAME.EXE and NAME.LOG are names of segments, too. Whether the
// last ones are missing is for Open to say.
func Find(fsys fs.FS, first string) ([]string, error) {
	names, missing, err := find(fsys, first)
	if err == nil {
		err = missing
	}
	if err != nil {
		return nil, err
	}
	return names, nil
}

// FindIncomplete is Find for [OpenIncomplete]: it returns the segments that are there, also those behind a gap. The first
// one must be.
func FindIncomplete(fsys fs.FS, first string) ([]string, error) {
	names, _, err := find(fsys, first)
	return names, err
}

// find returns all segments that are there, and an ErrMissing if there is a gap before one of them.
func find(fsys fs.FS, first string) (names []string, missing, err error) {
	stem, series, n := cutExtension(path.Base(first))
	if n == 0 {
		return []string{first}, nil, nil
	}
	dir := path.Dir(first)
	if n != 1 {
		ext, err := extension(series, 1)
		if err != nil {
			return nil, nil, err
		}
		return nil, nil, fmt.Errorf("%w: %q is not the first one, name %q", ErrSegments, first, path.Join(dir, stem+ext))
	}
	have, err := beside(fsys, dir, stem, series)
	if err != nil {
		return nil, nil, err
	}
	if have[1] == nil {
		return []string{first}, nil, nil // Open says that it does not exist
	}
	next := 1
	for _, i := range slices.Sorted(maps.Keys(have)) {
		name := path.Join(dir, have[i][0])
		if i != next && !isSegment(fsys, name) {
			continue
		}
		if len(have[i]) > 1 {
			return nil, nil, fmt.Errorf("%w: there are %q and %q", ErrSegments, name, path.Join(dir, have[i][1]))
		}
		if i != next && missing == nil {
			ext, err := extension(series, next)
			if err != nil {
				return nil, nil, err
			}
			missing = fmt.Errorf("%w: %q is missing, and later ones are there", ErrMissing, path.Join(dir, stem+ext))
		}
		names, next = append(names, name), i+1
	}
	return names, missing, nil
}

// cutExtension takes the extension of a segment off a name; n is 0 if it has none.
func cutExtension(base string) (stem string, series byte, n int) {
	ext := path.Ext(base)
	stem = strings.TrimSuffix(base, ext)
	if stem == "" {
		return "", 0, 0
	}
	for _, series := range []byte{'E', 'S'} {
		// Only .E01 and the like, not .EAA: the series of .SAA is not known by its letters.
		if n, ok := index(series, ext); ok && n <= 99 {
			return stem, series, n
		}
	}
	return "", 0, 0
}

// beside lists the names in dir that are those of segments of stem.
func beside(fsys fs.FS, dir, stem string, series byte) (map[int][]string, error) {
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return nil, fmt.Errorf("look for the segments in %q: %w", dir, plain(err))
	}
	have := map[int][]string{}
	for _, e := range entries {
		ext, ok := strings.CutPrefix(e.Name(), stem)
		if n, isSegment := index(series, ext); ok && isSegment {
			have[n] = append(have[n], e.Name())
		}
	}
	return have, nil
}

// isSegment looks at the first bytes of a regular file.
func isSegment(fsys fs.FS, name string) bool {
	seen, err := fs.Lstat(fsys, name)
	if err != nil || !seen.Mode().IsRegular() {
		return false
	}
	f, err := fsys.Open(name)
	if err != nil {
		return false
	}
	b := make([]byte, FileHeaderBytes)
	_, err = io.ReadFull(f, b)
	if err = errors.Join(err, f.Close()); err != nil {
		return false
	}
	_, err = ParseFileHeader(b)
	return err == nil
}

// plain drops the unquoted path of the errors of file systems.
func plain(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
