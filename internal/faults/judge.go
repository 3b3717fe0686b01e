//go:build linux

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/exhibit-forensics/exhibit/internal/faultdisk"
)

// How a tool has reported what it did not read.
const (
	exact   = "exact"
	inexact = "inexact"
	nothing = "nothing" // though there was something to report
)

func badSet(ranges []faultdisk.Range) map[int64]bool {
	set := map[int64]bool{}
	for _, r := range ranges {
		for s := r.First; s < r.First+r.Count; s++ {
			set[s] = true
		}
	}
	return set
}

// missing is the sectors that the image does not hold as the medium has them. What is beyond its end is missing, too.
func missing(image string, truth io.ReaderAt, m medium) (map[int64]bool, error) {
	set := map[int64]bool{}
	f, err := os.Open(image)
	if err != nil && !errors.Is(err, os.ErrNotExist) { // a tool that gave up may have left nothing
		return nil, err
	}
	in := bufio.NewReaderSize(f, 1<<20)
	got, want := make([]byte, m.sectorBytes()), make([]byte, m.sectorBytes())
	for s := range m.sectors() {
		if _, err := truth.ReadAt(want, s*int64(len(want))); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		if _, err := io.ReadFull(in, got); err != nil || !bytes.Equal(got, want) {
			set[s] = true
		}
	}
	if f == nil {
		return set, nil
	}
	return set, f.Close()
}

// lost counts the missing sectors that are good ones.
func lost(missing map[int64]bool, bad []faultdisk.Range) int {
	n := len(missing)
	for s := range badSet(bad) {
		if missing[s] {
			n--
		}
	}
	return n
}

// compare says how well the sectors that a tool reported are those that are missing.
func compare(reported []faultdisk.Range, missing map[int64]bool) string {
	got := badSet(reported)
	switch {
	case maps.Equal(got, missing):
		return exact
	case len(got) == 0:
		return nothing
	}
	return fmt.Sprintf("%s: %d sectors for %d", inexact, len(got), len(missing))
}

// readMap reads what a map in ddrescue's format calls bad, and what it calls anything but read, in sectors that hold it.
// It is written here again, apart from the program's own reader, because it judges the program's own writer.
func readMap(name string, sector int64) ([]faultdisk.Range, error) {
	b, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // nothing unread, nothing to map
	} else if err != nil {
		return nil, err
	}
	var unread []faultdisk.Range
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) != 3 || strings.HasPrefix(line, "#") || !strings.HasPrefix(f[1], "0x") || f[2] == "+" {
			continue
		}
		from, err := strconv.ParseInt(f[0], 0, 64)
		size, err2 := strconv.ParseInt(f[1], 0, 64)
		if err := errors.Join(err, err2); err != nil {
			return nil, fmt.Errorf("%q: %w", name, err)
		}
		unread = append(unread, sectorsOf(from, size, sector))
	}
	return unread, nil
}

func sectorsOf(from, size, sector int64) faultdisk.Range {
	first := from / sector
	return faultdisk.Range{First: first, Count: (from+size+sector-1)/sector - first}
}

var (
	dc3ddLine = regexp.MustCompile(`reading .* (?:at|from) sector (?P<first>[0-9]+)(?: to sector (?P<last>[0-9]+))?`)
	ewfLine   = regexp.MustCompile(`at sector\(s\): (?P<first>[0-9]+) - [0-9]+ number: (?P<count>[0-9]+)`)
)

// said picks the sectors out of what a tool printed: the first of a run, and the last or how many where it says so.
func said(text string, line *regexp.Regexp) []faultdisk.Range {
	var unread []faultdisk.Range
	for _, f := range line.FindAllStringSubmatch(text, -1) {
		r := faultdisk.Range{Count: 1}
		for i, name := range line.SubexpNames() {
			n, err := strconv.ParseInt(f[i], 10, 64)
			switch {
			case err != nil: // the whole match, or a part that is not there
			case name == "first":
				r.First = n
			case name == "last":
				r.Count = n - r.First + 1
			case name == "count":
				r.Count = n
			}
		}
		unread = append(unread, r)
	}
	return unread
}
