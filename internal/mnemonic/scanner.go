package mnemonic

import "unicode/utf16"

// Scanner looks for a recovery phrase in what is written to it: a file's bytes, of any length, as UTF-8 or, with a mark at the
// beginning, as UTF-16. It keeps a bounded part of them. The zero Scanner is ready.
type Scanner struct {
	begun bool
	order byte   // 0: UTF-8; 'l' or 'b': UTF-16, of which the first or the second byte is the low one
	rest  []byte // of the last write: what a phrase could begin in
	found bool
}

// longest is more than a phrase of twelve words, with numbers, spaces and line breaks between them, takes.
const longest = 8 << 10

// maxScan is how many bytes are looked at together.
const maxScan = 256 << 10

// Write implements io.Writer. It never fails.
func (s *Scanner) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && !s.found {
		part := p[:min(len(p), maxScan)]
		p = p[len(part):]
		s.rest = append(s.rest, part...)
		if len(s.rest) >= maxScan {
			s.look()
		}
	}
	return n, nil
}

// Found reports whether what was written so far holds a phrase.
func (s *Scanner) Found() bool {
	if !s.found {
		s.look()
	}
	return s.found
}

// look searches what is kept, and keeps its end.
func (s *Scanner) look() {
	if !s.begun && len(s.rest) >= 2 {
		switch s.begun = true; {
		case s.rest[0] == 0xff && s.rest[1] == 0xfe:
			s.order = 'l'
		case s.rest[0] == 0xfe && s.rest[1] == 0xff:
			s.order = 'b'
		}
	}
	s.found = In(s.text())
	if cut := len(s.rest) - longest; cut > 0 {
		s.rest = append(s.rest[:0], s.rest[cut&^1:]...)
	}
}

func (s *Scanner) text() string {
	if s.order == 0 {
		return string(s.rest)
	}
	units := make([]uint16, len(s.rest)/2)
	for i := range units {
		a, b := uint16(s.rest[2*i]), uint16(s.rest[2*i+1])
		if s.order == 'l' {
			a, b = b, a
		}
		units[i] = a<<8 | b
	}
	return string(utf16.Decode(units))
}
