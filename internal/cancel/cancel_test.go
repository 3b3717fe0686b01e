package cancel

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestReader(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	source := strings.NewReader("abcd")
	r := Reader(ctx, source)
	b := make([]byte, 2)
	if n, err := r.Read(b); n != 2 || err != nil || string(b) != "ab" {
		t.Fatalf("Read = %d, %v, %q", n, err, b)
	}
	cancel()
	if n, err := r.Read(b); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("after the end Read = %d, %v, want %v", n, err, context.Canceled)
	}
	if _, err := io.Copy(io.Discard, r); !errors.Is(err, context.Canceled) || source.Len() != 2 {
		t.Errorf("after the end a copy is %v, and %d bytes are left, want 2", err, source.Len())
	}
}
