package ewf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"

	"github.com/klauspost/compress/zlib"
)

// Bounds of a header section on reading: its compressed and its plain bytes.
const (
	maxHeaderBytes = 1 << 20
	maxHeaderText  = 4 << 20
)

// header2Columns are those of EnCase 6, before 6.12 added pid and ext; headerColumns those of EnCase 4 to 7.
var (
	header2Columns = []string{"a", "c", "n", "e", "t", "md", "sn", "av", "ov", "m", "u", "p", "dc"}
	headerColumns  = []string{"c", "n", "a", "e", "t", "av", "ov", "m", "u", "p"}
)

// The categories of sources and subjects in header2, which hold nothing.
const header2Rest = "srce\n0\t1\np\tn\tid\tev\ttb\tlo\tpo\tah\tgu\taq\n0\t0\n\t\t\t\t\t-1\t-1\t\t\t\n\n" +
	"sub\n0\t1\np\tn\tid\tnu\tco\tgu\n0\t0\n\t\t\t\t1\t\n\n"

// Header2 is the content of a header2 section, which stands twice at the start of the first segment: UTF-16 with a byte
// order mark, lines that end in LF, seconds since 1970, compressed by zlib. Label is not written: only EnCase 6.19 and
// later know it. The error is that of Check.
func (h Header) Header2() ([]byte, error) {
	if err := h.Check(); err != nil {
		return nil, err
	}
	text := "3\nmain\n" + h.columns(header2Columns, "\n", func(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }) +
		"\n" + header2Rest
	units := utf16.Encode([]rune("\ufeff" + text))
	b := make([]byte, 0, 2*len(units))
	for _, u := range units {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return deflate(b), nil
}

// Header1 is the content of the header section that follows the two of header2: ASCII, lines that end in CR LF, dates
// as the clock of their time.Location shows them, compressed by zlib. What is not ASCII becomes '?'; it stands in
// header2. The error is that of Check.
func (h Header) Header1() ([]byte, error) {
	if err := h.Check(); err != nil {
		return nil, err
	}
	text := "1\r\nmain\r\n" + h.columns(headerColumns, "\r\n", func(t time.Time) string { return t.Format(clock) }) + "\r\n"
	ascii := strings.Map(func(r rune) rune {
		if r > '~' {
			return '?'
		}
		return r
	}, text)
	return deflate([]byte(ascii)), nil
}

// clock is how header writes a date and time.
const clock = "2006 1 2 15 4 5"

// columns gives the line of identifiers and the line of values.
func (h Header) columns(ids []string, eol string, date func(time.Time) string) string {
	values := make([]string, len(ids))
	for i, id := range ids {
		f, _ := fieldOf(id)
		switch {
		case id == "p":
			values[i] = "0" // no password
		case f.text != nil:
			values[i] = *f.text(&h)
		case f.time != nil && !f.time(&h).IsZero():
			values[i] = date(*f.time(&h))
		}
	}
	return strings.Join(ids, "\t") + eol + strings.Join(values, "\t") + eol
}

func deflate(b []byte) []byte {
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	// A bytes.Buffer takes all, so neither call can fail.
	if _, err := w.Write(b); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// ParseHeader2 reads the content of a header2 section.
func ParseHeader2(b []byte) (Header, error) {
	text, err := inflateText(b)
	if err != nil {
		return Header{}, err
	}
	if len(text)%2 != 0 || len(text) < 2 {
		return Header{}, fmt.Errorf("%w: header2 is not UTF-16", ErrStructure)
	}
	var order binary.ByteOrder = binary.LittleEndian
	switch {
	case text[0] == 0xfe && text[1] == 0xff:
		order = binary.BigEndian
	case text[0] != 0xff || text[1] != 0xfe:
		return Header{}, fmt.Errorf("%w: header2 has no byte order mark", ErrStructure)
	}
	units := make([]uint16, 0, len(text)/2)
	for i := 2; i < len(text); i += 2 {
		units = append(units, order.Uint16(text[i:]))
	}
	return parseMain(string(utf16.Decode(units)))
}

// ParseHeader1 reads the content of a header section. A byte that is not ASCII is taken for ISO 8859-1: the file does
// not say which code page it is.
func ParseHeader1(b []byte) (Header, error) {
	text, err := inflateText(b)
	if err != nil {
		return Header{}, err
	}
	runes := make([]rune, len(text))
	for i, c := range text {
		runes[i] = rune(c)
	}
	return parseMain(string(runes))
}

// inflateText decompresses a header, up to maxHeaderText.
func inflateText(b []byte) ([]byte, error) {
	if len(b) > maxHeaderBytes {
		return nil, fmt.Errorf("%w: a header of %d bytes", ErrStructure, len(b))
	}
	z, err := zlib.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("%w: the header is not compressed by zlib: %w", ErrStructure, err)
	}
	text, err := io.ReadAll(io.LimitReader(z, maxHeaderText+1))
	if err == nil && len(text) > maxHeaderText {
		err = errors.New("it is larger than allowed")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: the header cannot be decompressed: %w", ErrStructure, err)
	}
	return text, nil
}

// parseMain reads the category main: the number of categories, its name, identifiers, values. Lines end in LF or CR LF.
func parseMain(text string) (Header, error) {
	lines := strings.SplitN(strings.ReplaceAll(text, "\r\n", "\n"), "\n", 5)
	if len(lines) < 4 || (lines[0] != "1" && lines[0] != "3") || lines[1] != "main" {
		return Header{}, fmt.Errorf("%w: the header does not begin with the category main", ErrStructure)
	}
	// The last line may end in a NUL where it is the last of all.
	ids, values := strings.Split(lines[2], "\t"), strings.Split(strings.TrimRight(lines[3], "\x00"), "\t")
	if len(values) > len(ids) {
		return Header{}, fmt.Errorf("%w: the header has %d values for %d names", ErrStructure, len(values), len(ids))
	}
	var h Header
	seen := map[string]bool{}
	for i, v := range values {
		f, ok := fieldOf(ids[i])
		if seen[ids[i]] {
			return Header{}, fmt.Errorf("%w: the header names %.20q twice", ErrStructure, ids[i])
		}
		seen[ids[i]] = true
		if !ok || v == "" { // a later version's column, or nothing
			continue
		}
		if err := h.set(f, v); err != nil {
			return Header{}, err
		}
	}
	return h, nil
}

func (h *Header) set(f field, v string) error {
	switch {
	case f.text != nil:
		*f.text(h) = v
	case f.time != nil:
		t, local, err := parseTime(v)
		if err != nil {
			return fmt.Errorf("%w: the %s in the header is %.80q", ErrStructure, f.name, v)
		}
		*f.time(h) = t
		h.LocalTimes = h.LocalTimes || local
	case f.id == "p" && v != "0":
		h.PasswordHash = v
	}
	return nil
}

// parseTime reads seconds since 1970 (header2, and header of linen), or a date by the clock. 0 is none (L01, winen).
func parseTime(v string) (t time.Time, local bool, err error) {
	if n, err := strconv.ParseUint(v, 10, 32); err == nil {
		if n == 0 {
			return time.Time{}, false, nil
		}
		return time.Unix(int64(n), 0).UTC(), false, nil
	}
	t, err = time.Parse(clock, v)
	return t, true, err
}
