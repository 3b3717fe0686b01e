//go:build unix

package ledger

import (
	"context"
	"fmt"
	"testing"
)

// BenchmarkAppend appends one event to logs that batches of 1000 made, with 100 exhibits. Where the cost of an append grows
// with the log, it shows as a difference between the two.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{10, 100_000} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			w := sharedWorld()
			_, root := create(b, w)
			for have := 1; have < size; {
				n := min(1000, size-have)
				names := make([]string, n)
				for i := range names {
					names[i] = fmt.Sprintf("exhibit %d", i%100)
				}
				w.append(b, root, names...)
				have += n
			}
			b.ResetTimer()
			for range b.N {
				if _, err := Append(context.Background(), root, w.key(), nil, w.next("exhibit 1")); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
