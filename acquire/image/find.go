package image

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/exhibit-forensics/exhibit/acquire/image/ewf"
	"github.com/exhibit-forensics/exhibit/internal/layout"
)

// Find returns the files of the image whose first file a person named, in order, for [Open]. Of an E01 it is ewf.Find, with
// the errors of that. NAME.001 is the first of the segments NAME.001, NAME.002 and so on beside it; any other file is an
// image by itself. ErrSegments refuses a name that is a later segment, and numbers that go on after .999 or begin with .000,
// as other tools write them; ErrMissing a gap in the numbers. Without a record nobody can tell whether the last segments are missing.
func Find(fsys fs.FS, name string) ([]string, error) {
	is, err := isE01(fsys, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // of what is not there the names beside it may say more
		return nil, err
	}
	if is {
		return ewf.Find(fsys, name)
	}
	dir := path.Dir(name)
	stem, number, split := cutNumber(path.Base(name))
	if !split {
		return []string{name}, nil
	}
	have, past, err := numbered(fsys, dir, stem)
	if err != nil {
		return nil, err
	}
	segment := func(i int) string { return path.Join(dir, layout.SegmentName(stem, i-1, true)) }
	switch {
	case number == 0 && len(have) == 1 && have[0]:
		return []string{name}, nil
	case have[0]:
		return nil, fmt.Errorf("%w: %q stands before %q, and segments begin with .001", ErrSegments, segment(0), segment(1))
	case number != 1:
		return nil, fmt.Errorf("%w: %q is not the first one, name %q", ErrSegments, name, segment(1))
	case past:
		return nil, fmt.Errorf("%w: those of %q go on after .999, which has no agreed order", ErrSegments, name)
	}
	var names []string
	for i := 1; i <= max(1, len(have)); i++ {
		if !have[i] {
			return nil, fmt.Errorf("%w: %q is missing", ErrMissing, segment(i))
		}
		names = append(names, segment(i))
	}
	return names, nil
}

// cutNumber takes ".007" off a name.
func cutNumber(base string) (stem string, number int, ok bool) {
	dot := strings.LastIndexByte(base, '.')
	if dot < 1 || len(base) != dot+4 {
		return "", 0, false
	}
	n, ok := digits(base[dot+1:])
	return base[:dot], n, ok
}

func digits(s string) (int, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil
}

// numbered lists the numbers that follow stem in a folder; past says that there is one of four digits beside .999.
func numbered(fsys fs.FS, dir, stem string) (have map[int]bool, past bool, err error) {
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return nil, false, fmt.Errorf("look for the segments in %q: %w", dir, plain(err))
	}
	have = map[int]bool{}
	for _, e := range entries {
		rest, ok := strings.CutPrefix(e.Name(), stem+".")
		n, isNumber := digits(rest)
		switch {
		case !ok || !isNumber:
		case len(rest) == 3:
			have[n] = true
		case len(rest) == 4 && n == 1000:
			past = true
		}
	}
	return have, past && have[layout.MaxSegments], nil
}
