package record

import (
	"fmt"
	"unicode"
	"unicode/utf8"
)

// MaxInteger is the largest integer every JSON reader keeps exact (RFC 8785, 2^53-1).
const MaxInteger = 1<<53 - 1

// maxText bounds one text of a record, in bytes.
const maxText = 64 << 10

// checkLine requires a non-empty single line of printable text without control or direction-changing characters,
// so that it cannot forge another line of a report.
func checkLine(field, s string) error {
	if s == "" || len(s) > maxText {
		return fmt.Errorf("%w: %s is empty or longer than %d bytes", ErrMalformed, field, maxText)
	}
	if !utf8.ValidString(s) {
		return fmt.Errorf("%w: %s is not UTF-8", ErrMalformed, field)
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("%w: %s holds the unprintable character %U", ErrMalformed, field, r)
		}
	}
	return nil
}

// checkShort is checkLine with a bound of its own, in bytes.
func checkShort(field, s string, most int) error {
	if len(s) > most {
		return fmt.Errorf("%w: %s is longer than %d bytes", ErrMalformed, field, most)
	}
	return checkLine(field, s)
}

// checkCount requires 0 <= n <= MaxInteger.
func checkCount(field string, n int64) error {
	if n < 0 || n > MaxInteger {
		return fmt.Errorf("%w: %s is %d", ErrMalformed, field, n)
	}
	return nil
}

// checkDigests requires one digest of each of the algorithms in must, in an order sorted by algorithm, none doubled.
func checkDigests(field string, digests []Digest, must ...Algorithm) error {
	have := map[Algorithm]bool{}
	last := Algorithm("")
	for _, d := range digests {
		if d.IsZero() || d.alg <= last {
			return fmt.Errorf("%w: digests of %s are not sorted by algorithm, or one is doubled or empty", ErrMalformed, field)
		}
		last = d.alg
		have[d.alg] = true
	}
	for _, alg := range must {
		if !have[alg] {
			return fmt.Errorf("%w: %s lacks its %s digest", ErrMalformed, field, alg)
		}
	}
	return nil
}
