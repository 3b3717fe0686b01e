package hashtree

import (
	"testing"

	"lukechampine.com/blake3"
)

// However a stream is cut, its root is what blake3 gives, also when it is asked for on the way.
func TestHasher(t *testing.T) {
	const g = GroupSize
	data := randomInput(5*g + 1)
	sizes := []int{0, 1, g - 1, g, g + 1, 2*g - 1, 2 * g, 2*g + 1, 3 * g, 4 * g, 5*g + 1}
	for _, size := range sizes {
		for _, piece := range []int{g / 3, g - 1, g, g + 1, 2 * g, 3*g + 5, 6 * g} {
			var h Hasher
			for at := 0; at < size; at += piece {
				if got, want := h.Root(), Value(blake3.Sum256(data[:at])); at%(3*piece) == 0 && got != want {
					t.Errorf("%d bytes in pieces of %d, after %d: root %s, want %s", size, piece, at, got, want)
				}
				p := data[at:min(at+piece, size)]
				if n, err := h.Write(p); n != len(p) || err != nil {
					t.Fatalf("write of %d bytes: %d, %v", len(p), n, err)
				}
			}
			if got, want := h.Root(), Value(blake3.Sum256(data[:size])); got != want {
				t.Errorf("%d bytes in pieces of %d: root %s, want %s", size, piece, got, want)
			}
			if cap(h.held) > 2*g {
				t.Errorf("%d bytes in pieces of %d: %d bytes are held", size, piece, cap(h.held))
			}
		}
	}
}

func TestHasherRefusesMoreThanAMedium(t *testing.T) {
	h := Hasher{group: MaxSize / GroupSize}
	if n, err := h.Write(make([]byte, GroupSize)); n != 0 || err == nil { // MaxSize is no whole number of groups
		t.Errorf("write beyond MaxSize: %d, %v", n, err)
	}
	if n, err := h.Write(make([]byte, GroupSize-1)); n != GroupSize-1 || err != nil {
		t.Errorf("write up to MaxSize: %d, %v", n, err)
	}
}
