//go:build unix

package ledger

import (
	"context"
	"fmt"
	"testing"
)

// BenchmarkAppend appends one event to logs that batches of 1000 made, with a hundred exhibits or with one for each entry.
// Where the cost of an append grows with the log or with its exhibits, it shows as a difference from the second, whose last
// bundle, which each append writes anew, is as full as theirs.
func BenchmarkAppend(b *testing.B) {
	for _, of := range []struct{ size, exhibits int }{{10, 10}, {160, 160}, {100_000, 100}, {100_000, 100_000}} {
		b.Run(fmt.Sprintf("%d of %d exhibits", of.size, of.exhibits), func(b *testing.B) {
			w := sharedWorld()
			_, root := create(b, w)
			for have := 1; have < of.size; {
				n := min(1000, of.size-have)
				names := make([]string, n)
				for i := range names {
					names[i] = fmt.Sprintf("exhibit %d", (have+i)%of.exhibits)
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
