package mnemonic

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf16"
)

const phrase = "legal winner thank year wave sausage worth useful legal winner thank yellow"

func utf16of(text string, little bool) []byte {
	var b []byte
	for _, u := range append([]uint16{0xfeff}, utf16.Encode([]rune(text))...) {
		if little {
			b = append(b, byte(u), byte(u>>8))
		} else {
			b = append(b, byte(u>>8), byte(u))
		}
	}
	return b
}

// A phrase is found wherever in a file it stands, in whatever pieces the file is written, and in each of the encodings.
func TestScanner(t *testing.T) {
	for _, before := range []int{0, 1, maxScan - 40, maxScan - 1, 2*maxScan - longest - 7, 3*maxScan + 11} {
		text := strings.Repeat("0", before) + " " + phrase + strings.Repeat(" .", 5000)
		for name, b := range map[string][]byte{"UTF-8": []byte(text), "UTF-16LE": utf16of(text, true), "UTF-16BE": utf16of(text, false)} {
			for _, size := range []int{4096, 999, len(b)} {
				var s Scanner
				for rest := b; len(rest) > 0; rest = rest[min(size, len(rest)):] {
					if n, err := s.Write(rest[:min(size, len(rest))]); err != nil || n != min(size, len(rest)) {
						t.Fatalf("Write: %d, %v", n, err)
					}
				}
				if !s.Found() {
					t.Errorf("%s, phrase after %d bytes, in pieces of %d: not found", name, before, size)
				}
				if len(s.rest) > 2*maxScan {
					t.Errorf("%d bytes are kept", len(s.rest))
				}
			}
		}
	}
	var s Scanner
	s.Write(bytes.Repeat([]byte("The quick brown fox and the lazy dog, twelve words on end are here. "), 20000)) //nolint:errcheck // it never fails
	if s.Found() || new(Scanner).Found() {
		t.Error("a phrase was found where there is none")
	}
}
