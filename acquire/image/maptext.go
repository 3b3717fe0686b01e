package image

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
)

// maxMapLine is the longest line of a map that is not a comment. ddrescue itself cuts at 127 bytes.
const maxMapLine = 4096

// ParseMap reads a map as GNU ddrescue 1.2x and ddrescuelog write it: comments, one status line whose pass may be
// missing, then lines of position, size and status that follow each other from 0 on. Numbers are decimal, hexadecimal
// (0x) or octal (0). Neighbours of one status become one range. The size of the medium is where the last line ends; a
// file that was cut between two lines cannot be told from a map of a smaller medium, so the caller compares it.
//
// Whatever else stands there is ErrMap, more than the limits allow is ErrMapTooLarge, and errors of r come as they are.
func ParseMap(r io.Reader, limits MapLimits) (*Map, error) {
	limits, err := limits.withDefaults()
	if err != nil {
		return nil, err
	}
	p := mapParser{
		in:   bufio.NewReaderSize(&io.LimitedReader{R: r, N: limits.SizeBytes + 1}, maxMapLine),
		left: limits.SizeBytes,
		m:    &Map{limit: limits.Ranges},
	}
	for {
		line, err := p.line()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = p.take(line)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", p.number, err)
		}
	}
	if !p.state {
		return nil, fmt.Errorf("%w: no status line", ErrMap)
	}
	return p.m, nil
}

type mapParser struct {
	in     *bufio.Reader
	left   int64 // bytes that may still come
	number int   // of the line, from 1
	m      *Map
	state  bool // the status line was read
	empty  bool // the one line of a medium without bytes was read
}

// line returns the next line without its newline, and nothing of a comment line, which may be longer than any other.
// io.EOF comes only behind a whole line.
func (p *mapParser) line() ([]byte, error) {
	p.number++
	line, err := p.in.ReadSlice('\n')
	comment := len(line) > 0 && line[0] == '#'
	read := int64(len(line))
	for comment && errors.Is(err, bufio.ErrBufferFull) {
		var more []byte
		more, err = p.in.ReadSlice('\n')
		read += int64(len(more))
	}
	p.left -= read
	switch {
	case p.left < 0:
		return nil, fmt.Errorf("%w: too many bytes", ErrMapTooLarge)
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, fmt.Errorf("%w: more than %d bytes", ErrMap, maxMapLine)
	case errors.Is(err, io.EOF) && read > 0:
		return nil, fmt.Errorf("%w: the line has no end", ErrMap)
	case err != nil:
		return nil, err
	case comment:
		return nil, nil
	}
	return line[:len(line)-1], nil
}

// take reads one line: nothing, the status line if it is the first, or a range.
func (p *mapParser) take(line []byte) error {
	fields, err := mapFields(line)
	if err != nil || len(fields) == 0 {
		return err
	}
	if !p.state {
		p.state = true
		return p.takeState(fields)
	}
	return p.takeRange(fields)
}

// mapFields cuts a line at spaces and tabs, up to a comment. A comment begins with the line or after a blank.
func mapFields(line []byte) ([][]byte, error) {
	for i, c := range line {
		if c == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
			line = line[:i]
			break
		}
		if c != '\t' && (c < ' ' || c > '~') {
			return nil, fmt.Errorf("%w: byte %#02x", ErrMap, c)
		}
	}
	return bytes.Fields(line), nil
}

func (p *mapParser) takeState(fields [][]byte) error {
	if len(fields) != 2 && len(fields) != 3 {
		return fmt.Errorf("%w: a status line of %d words", ErrMap, len(fields))
	}
	state := MapState{Pass: 1}
	var err error
	if state.Position, err = mapNumber(fields[0]); err != nil {
		return err
	}
	if len(fields[1]) != 1 {
		return fmt.Errorf("%w: current status %q", ErrMap, fields[1])
	}
	state.Phase = Phase(fields[1][0])
	if len(fields) == 3 {
		pass, err := strconv.ParseUint(string(fields[2]), 10, 31)
		if err != nil {
			return fmt.Errorf("%w: current pass %q", ErrMap, fields[2])
		}
		state.Pass = int(pass)
	}
	return p.m.SetState(state)
}

func (p *mapParser) takeRange(fields [][]byte) error {
	if len(fields) != 3 {
		return fmt.Errorf("%w: a range of %d words", ErrMap, len(fields))
	}
	pos, err := mapNumber(fields[0])
	if err != nil {
		return err
	}
	size, err := mapNumber(fields[1])
	if err != nil {
		return err
	}
	if len(fields[2]) != 1 || !Status(fields[2][0]).valid() {
		return fmt.Errorf("%w: status %q", ErrMap, fields[2])
	}
	switch {
	case p.empty || pos != p.m.size:
		return fmt.Errorf("%w: a range begins at %d and not at %d", ErrMap, pos, p.m.size)
	case size > math.MaxInt64-pos:
		return fmt.Errorf("%w: %d bytes at %d", ErrMap, size, pos)
	case size == 0 && pos > 0:
		return fmt.Errorf("%w: an empty range", ErrMap)
	}
	p.empty = size == 0 // ddrescue writes such a line, alone, for a medium without bytes
	return p.m.append(size, Status(fields[2][0]))
}

// mapNumber reads an integer constant of C++ without sign, suffix or separators.
func mapNumber(word []byte) (int64, error) {
	digits, base := string(word), 10
	switch {
	case len(digits) > 1 && digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X'):
		digits, base = digits[2:], 16
	case len(digits) > 1 && digits[0] == '0':
		base = 8
	}
	n, err := strconv.ParseUint(digits, base, 63)
	if err != nil {
		return 0, fmt.Errorf("%w: number %q", ErrMap, word)
	}
	return int64(n), nil
}

// Encode writes the map in the form of ddrescue, which ddrescue and ddrescuelog read. Each comment becomes a line of the
// heading, without its "# "; by custom they name the tool and its version, the command line, and times. A comment with a
// control character is ErrMap. The same map and comments give the same bytes.
func (m *Map) Encode(w io.Writer, comments []string) error {
	out := bufio.NewWriterSize(w, 64<<10)
	for _, comment := range comments {
		for _, c := range []byte(comment) {
			if c < ' ' || c == 0x7f {
				return fmt.Errorf("%w: a control character in the comment %q", ErrMap, comment)
			}
		}
		_, _ = out.WriteString("# " + comment + "\n") // bufio keeps the error until Flush
	}
	_, _ = fmt.Fprintf(out, "# current_pos  current_status  current_pass\n0x%08X     %c               %d\n",
		m.state.Position, m.state.Phase, m.state.Pass)
	_, _ = out.WriteString("#      pos        size  status\n")
	if m.size == 0 {
		_, _ = out.WriteString("0x00000000  0x00000000  ?\n")
	}
	line := make([]byte, 0, 64)
	for r := range m.All() {
		line = appendHex(line[:0], r.Offset)
		line = appendHex(append(line, "  "...), r.SizeBytes)
		line = append(line, ' ', ' ', byte(r.Status), '\n')
		if _, err := out.Write(line); err != nil {
			return err
		}
	}
	return out.Flush()
}

// appendHex writes n as ddrescue does: at least eight digits, upper-case.
func appendHex(b []byte, n int64) []byte {
	const digits = "0123456789ABCDEF"
	width := 8
	for width < 16 && n>>(4*width) != 0 {
		width++
	}
	b = append(b, "0x"...)
	for width--; width >= 0; width-- {
		b = append(b, digits[n>>(4*width)&15])
	}
	return b
}
