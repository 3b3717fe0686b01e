package ewf

import (
	"fmt"
	"strings"
)

// MaxSegments is how many segments have a name: .E01 to .E99, .EAA to .EZZ, .FAA to .ZZZ.
const MaxSegments = 14971

// SegmentExtension is the extension of segment n, from 1, with its dot: ".E01", ".EAA", ".ZZZ".
func SegmentExtension(n int) (string, error) { return extension('E', n) }

// extension names segment n of a series, 'E' for E01 and 'S' for SMART's S01.
func extension(series byte, n int) (string, error) {
	if n < 1 || n > lastOf(series) {
		return "", fmt.Errorf("%w: a segment number %d, from 1 to %d", ErrValue, n, lastOf(series))
	}
	if n <= 99 {
		return fmt.Sprintf(".%c%02d", series, n), nil
	}
	n -= 100
	return string([]byte{'.', series + byte(n/676), 'A' + byte(n/26%26), 'A' + byte(n%26)}), nil
}

// index is the number, from 1, of the segment of a series with that extension, in upper or lower case: 100 for ".EAA". ok is
// false if no segment is called so. ".EXE" and ".LOG" are such names, too: look into the file.
func index(series byte, ext string) (n int, ok bool) {
	if len(ext) != 4 || ext[0] != '.' {
		return 0, false
	}
	e := strings.ToUpper(ext[1:])
	switch {
	case e[0] == series && isDigit(e[1]) && isDigit(e[2]):
		n = int(e[1]-'0')*10 + int(e[2]-'0')
	case series <= e[0] && e[0] <= 'Z' && isLetter(e[1]) && isLetter(e[2]):
		n = 100 + int(e[0]-series)*676 + int(e[1]-'A')*26 + int(e[2]-'A')
	}
	return n, n > 0
}

func lastOf(series byte) int { return 99 + int('Z'-series+1)*676 }

func isDigit(c byte) bool  { return '0' <= c && c <= '9' }
func isLetter(c byte) bool { return 'A' <= c && c <= 'Z' }
